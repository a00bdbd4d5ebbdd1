from __future__ import annotations

import os
import subprocess
import sys

import pytest

from biomarl_tune.errors import InputError, RunExistsError, StorageError, UnsafeError
from biomarl_tune.search.directory import (
    RunDirectory,
    acquire,
    build,
    fresh_name,
    manifest_sha256,
    run_directory,
)


def _fill(path):
    (path / "spec.yaml").write_text("name: a")


def test_build_makes_a_complete_directory(tmp_path):
    """The results folder is created on the way and holds the run alone."""
    directory = build(tmp_path / "deep" / "results", "a", _fill)

    assert directory.spec.read_text() == "name: a"
    assert [path.name for path in (tmp_path / "deep" / "results").iterdir()] == ["a"]


def test_existing_run_is_refused_with_the_way_on(tmp_path):
    """The message says how to resume it and how to begin another."""
    build(tmp_path, "a", _fill)

    with pytest.raises(RunExistsError, match=r"biomarl-tune resume .*a`, or give --fresh"):
        build(tmp_path, "a", _fill)


def test_failed_build_leaves_nothing(tmp_path):
    """A disk that fails under way leaves no half run behind."""

    def fail(path):
        _fill(path)
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="No space left on device"):
        build(tmp_path, "a", fail)

    assert list(tmp_path.iterdir()) == []


def test_left_over_of_a_killed_build_is_replaced(tmp_path):
    """What a killed process was building does not stand in the way."""
    (tmp_path / ".a.new").mkdir()
    (tmp_path / ".a.new" / "junk").touch()

    directory = build(tmp_path, "a", _fill)

    assert [path.name for path in directory.path.iterdir()] == ["spec.yaml"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_unusable_results_folder_is_refused(tmp_path):
    """A file in the place of the results folder is named, and nothing is written."""
    (tmp_path / "file").touch()

    with pytest.raises(InputError, match="cannot be a results folder"):
        build(tmp_path / "file", "a", _fill)


def test_fresh_name_counts_on(tmp_path):
    """The next free name is a, a-2, a-3, and long names are shortened to make room."""
    taken = []
    for _ in range(3):
        taken.append(fresh_name(tmp_path, "a"))
        (tmp_path / taken[-1]).mkdir()
    (tmp_path / ("x" * 64)).mkdir()

    assert taken == ["a", "a-2", "a-3"]
    assert fresh_name(tmp_path, "x" * 64) == "x" * 62 + "-2"


def test_bad_names_never_become_paths(tmp_path):
    """A name that would leave the results folder is refused."""
    with pytest.raises(InputError, match="name: must be 1 to 64 letters"):
        run_directory(tmp_path, "../a")


def test_second_process_is_refused_and_told_who(tmp_path):
    """While one process holds the lock, another one gets its number; then it may have it."""
    directory = RunDirectory(tmp_path)
    code = (
        "import sys, pathlib\n"
        "from biomarl_tune.search.directory import RunDirectory, acquire\n"
        "held = acquire(RunDirectory(pathlib.Path(sys.argv[1])))\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UnsafeError, match=f"process {holder.pid} is running this search"):
            acquire(directory)
        holder.kill()

    with acquire(directory):
        assert directory.lock.read_text() == str(os.getpid())


def test_attempts_are_counted(tmp_path):
    """Each start of Tune gets the next number."""
    directory = RunDirectory(tmp_path)

    assert [directory.new_attempt().name for _ in range(3)] == ["1", "2", "3"]


def test_manifest_hash_is_empty_without_a_manifest(tmp_path):
    """Only a checkpoint within reach has a hash."""
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "manifest.json").write_bytes(b"{}")

    assert manifest_sha256(tmp_path, "c").startswith("44136fa355b3678a")
    assert manifest_sha256(tmp_path, "d") == manifest_sha256(tmp_path, "") == ""
