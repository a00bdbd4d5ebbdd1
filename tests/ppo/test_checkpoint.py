import errno
import json
import os
import resource
import shutil
from pathlib import Path

import pytest
import torch

from biomarl_tune.errors import CheckpointError
from biomarl_tune.ppo.checkpoint import (
    checkpoint_iteration,
    keep_newest,
    latest_checkpoint,
    load_weights,
    save_checkpoint,
    verify_checkpoint,
)

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.tensor([0.5])}
FILES = ("weights.safetensors", "experiment.json", "state/engine.pkl", "manifest.json")


def write_engine_state(folder: Path) -> None:
    """Write what an engine would need to go on."""
    (folder / "engine.pkl").write_bytes(b"0123456789")


@pytest.fixture
def save(tiny, tmp_path):
    """Return a function that saves the checkpoint of an iteration, and its parent folder."""

    def make(iteration: int = 3) -> Path:
        return save_checkpoint(tmp_path, iteration, tiny(), WEIGHTS, write_engine_state)

    return make


def test_weights_come_back(save, tiny):
    """The settings and every tensor are read back as they were."""
    experiment, weights = load_weights(save())

    assert experiment == tiny()
    assert weights.keys() == WEIGHTS.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in WEIGHTS.items())


def test_layout_is_the_documented_one(save):
    """A checkpoint is called after its iteration and lists every other file with its size."""
    path = save(12)

    assert path.name == "iteration-000012"
    assert checkpoint_iteration(path) == 12
    assert sorted(str(f.relative_to(path)) for f in path.rglob("*") if f.is_file()) == sorted(FILES)
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["files"].keys() == set(FILES) - {"manifest.json"}
    assert manifest["files"]["state/engine.pkl"]["bytes"] == 10
    assert [f.name for f in path.parent.iterdir()] == ["iteration-000012"]


def test_a_checkpoint_without_engine_state(tmp_path, tiny):
    """What is only evaluated needs no state of the engine."""
    path = save_checkpoint(tmp_path / "new" / "folder", 1, tiny(), WEIGHTS)

    verify_checkpoint(path)
    assert load_weights(path)[0] == tiny()


def test_the_digest_is_that_of_the_contents(save):
    """Verifying returns the same digest for the same contents, another for others."""
    first, again, other = (verify_checkpoint(save(i)) for i in (3, 3, 4))

    assert first == again != other


def test_a_checkpoint_can_be_moved(save, tmp_path):
    """A checkpoint that was copied under another name verifies there too."""
    copy = Path(shutil.copytree(save(3), tmp_path / "best"))

    verify_checkpoint(copy)
    assert checkpoint_iteration(copy) == 3


def damage_bit(path):
    """Flip one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    """Cut off the second half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    """Leave a file of no bytes."""
    path.write_bytes(b"")


def link(path):
    """Put a symbolic link to the same contents in place of a file."""
    checkpoint = next(p for p in path.parents if p.name.startswith("iteration-"))
    outside = checkpoint.parent / "outside"
    path.rename(outside)
    path.symlink_to(outside)


@pytest.mark.parametrize("damage", [damage_bit, truncate, empty, Path.unlink, link])
@pytest.mark.parametrize("name", FILES)
def test_damage_is_refused(save, name, damage):
    """A changed, cut, missing or linked file is refused, and the checkpoint before is used."""
    before, path = save(3), save(4)

    damage(path / name)

    with pytest.raises(CheckpointError, match="iteration-000004"):
        load_weights(path)
    assert latest_checkpoint(path.parent) == before


@pytest.mark.parametrize("extra", ["extra.txt", "state/extra.txt"])
def test_an_extra_file_is_refused(save, extra):
    """What the manifest does not list is not of this checkpoint."""
    path = save()
    (path / extra).write_text("")

    with pytest.raises(CheckpointError, match="is not in the manifest"):
        verify_checkpoint(path)


def test_an_extra_link_is_refused(save, tmp_path):
    """A link to a folder outside is refused though nothing in it is listed."""
    path = save()
    (path / "state" / "elsewhere").symlink_to(tmp_path)

    with pytest.raises(CheckpointError, match="state/elsewhere is a link"):
        verify_checkpoint(path)


def test_any_flipped_byte_of_the_manifest_is_refused(save):
    """Whichever byte of the manifest was damaged, it is told in one line, and nothing crashes."""
    path = save()
    manifest = path / "manifest.json"
    content = manifest.read_bytes()
    harmless = content.index(b'"version"'), content.index(b"1") + 1  # read by nobody yet
    for i in [*range(harmless[0]), *range(harmless[1], len(content))]:
        manifest.write_bytes(content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :])

        with pytest.raises(CheckpointError):
            verify_checkpoint(path)
        assert latest_checkpoint(path.parent) is None


@pytest.mark.parametrize(
    "manifest", ["[]", "{}", '{"iteration": 3, "files": []}', '{"iteration": "x", "files": {}}']
)
def test_a_foreign_manifest_is_refused(save, manifest):
    """JSON that is no manifest of ours is no checkpoint."""
    path = save()
    (path / "manifest.json").write_text(manifest)

    with pytest.raises(CheckpointError, match="not a checkpoint"):
        verify_checkpoint(path)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    """A missing folder and an empty one are told apart from checkpoints in one line."""
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(CheckpointError, match="not a checkpoint") as error:
            load_weights(path)
        assert "\n" not in str(error.value)


def test_settings_of_another_version_are_refused(tmp_path, tiny):
    """A checkpoint whose settings are not known here is whole, but cannot be used."""

    class Foreign:
        def model_dump_json(self, indent):
            return '{"seed": 1, "telepathy": true}'

    path = save_checkpoint(tmp_path, 1, Foreign(), WEIGHTS)

    verify_checkpoint(path)
    with pytest.raises(CheckpointError, match="another version"):
        load_weights(path)


def test_the_newest_is_found(save, tmp_path):
    """The highest iteration counts, whichever was written last."""
    newest = save(10)
    save(9)

    assert latest_checkpoint(tmp_path) == newest


def test_none_is_found_where_there_is_none(tmp_path):
    """An empty folder and a missing one hold no checkpoint."""
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "missing") is None


def test_damage_is_logged(save, tmp_path, caplog):
    """That a checkpoint is passed over is said, with what is wrong."""
    damage_bit(save() / "weights.safetensors")

    latest_checkpoint(tmp_path)

    assert "weights.safetensors differs from the manifest" in caplog.text


def test_a_full_disk_in_the_engines_state_leaves_nothing(save, tmp_path, tiny):
    """When the engine cannot write, the checkpoint before is all there is."""
    before = save(3)

    def no_space(folder: Path) -> None:
        (folder / "half").write_bytes(b"1")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space"):
        save_checkpoint(tmp_path, 4, tiny(), WEIGHTS, no_space)

    assert list(tmp_path.iterdir()) == [before]
    verify_checkpoint(before)


def test_a_file_that_cannot_grow_leaves_nothing(tmp_path, tiny):
    """When the weights do not fit an OSError says so, and nothing is left behind."""
    large = {"weight": torch.zeros(100_000)}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_checkpoint(tmp_path, 1, tiny(), large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert list(tmp_path.iterdir()) == []


def test_a_failed_rewrite_keeps_the_checkpoint(save, tmp_path, tiny):
    """An iteration that is saved again and fails leaves its first version."""
    before = save(3)
    digest = verify_checkpoint(before)

    def broken(folder: Path) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        save_checkpoint(tmp_path, 3, tiny(), {}, broken)

    assert verify_checkpoint(before) == digest


@pytest.mark.parametrize(("count", "left"), [(2, [3, 10]), (5, [1, 2, 3, 10]), (0, [])])
def test_keep_newest(save, tmp_path, count, left):
    """Only the newest are left, by iteration."""
    for iteration in (10, 1, 2, 3):
        save(iteration)

    keep_newest(tmp_path, count)

    assert sorted(checkpoint_iteration(path) for path in tmp_path.iterdir()) == left


def test_keep_newest_clears_up_after_dead_processes(save, tmp_path):
    """Folders that another process left half-written go, those of this one stay."""
    path = save()
    dead, ours = tmp_path / ".writing-000001-0", tmp_path / f".writing-000001-{os.getpid()}"
    dead.mkdir()
    ours.mkdir()

    keep_newest(tmp_path, 1)

    assert sorted(tmp_path.iterdir()) == sorted([path, ours])
