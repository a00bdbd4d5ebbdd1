"""Checkpoints that can be trusted: written aside, listed in a manifest, then renamed.

    checkpoints/iteration-000012/
        weights.safetensors    the brain            } all that evaluation and replay read
        experiment.json        the settings         }
        state/                 the engine's own, pickled; only to continue one's own run
        manifest.json          SHA-256 and size of every other file; written last

A directory without a manifest does not exist; one whose files differ from it is damaged.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from biomarl_tune.errors import CheckpointError
from biomarl_tune.experiment import Experiment
from biomarl_tune.faults import write_point

_PREFIX = "iteration-"
_MANIFEST = "manifest.json"
_log = logging.getLogger(__name__)


def save_checkpoint(
    parent: Path,
    iteration: int,
    experiment: Experiment,
    weights: dict[str, Tensor],
    write_state: Callable[[Path], None] | None = None,
) -> Path:
    """Write a checkpoint so that it is there whole or not at all.

    Args:
        parent: the folder of a trial's checkpoints; made where missing.
        iteration: the last one that was trained.
        experiment: what evaluation needs to know.
        weights: the brain's.
        write_state: fills the folder it is given with what continuing needs.

    Returns:
        The checkpoint's folder.

    Raises:
        OSError: the disk is full or cannot be written; no half checkpoint is left.
    """
    final = parent / _name(iteration)
    scratch = parent / f".writing-{iteration:06d}-{os.getpid()}"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        write_point()
        (scratch / "state").mkdir(parents=True)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        write_point()
        (scratch / "weights.safetensors").write_bytes(safetensors.torch.save(tensors))
        write_point()
        (scratch / "experiment.json").write_text(experiment.model_dump_json(indent=2))
        if write_state is not None:
            write_point()
            write_state(scratch / "state")
        write_point()
        _write_manifest(scratch, iteration)
        write_point()
        shutil.rmtree(final, ignore_errors=True)
        write_point()
        scratch.rename(final)
        _sync(parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return final


def verify_checkpoint(path: Path) -> str:
    """Check every file against the manifest and return the manifest's own SHA-256.

    Raises:
        CheckpointError: no manifest, a file missing, added, changed, or a link.
    """
    manifest = _manifest(path)
    inside = sorted(path.rglob("*"))
    for link in (f for f in inside if f.is_symlink()):
        msg = f"{path}: {link.relative_to(path)} is a link; use another checkpoint"
        raise CheckpointError(msg)
    found = {str(f.relative_to(path)) for f in inside if f.is_file()}
    listed = set(manifest["files"]) | {_MANIFEST}
    for name in sorted(found ^ listed):
        fault = "is not in the manifest" if name in found else "is missing"
        msg = f"{path}: {name} {fault}; use another checkpoint"
        raise CheckpointError(msg)
    for name, entry in manifest["files"].items():
        if _entry(path / name) != entry:
            msg = f"{path}: {name} differs from the manifest; use another checkpoint"
            raise CheckpointError(msg)
    return _digest(path / _MANIFEST)


def latest_checkpoint(parent: Path) -> Path | None:
    """Return the newest checkpoint that verifies; a damaged one is passed over, and logged."""
    for path in sorted(parent.glob(f"{_PREFIX}*"), reverse=True):
        try:
            verify_checkpoint(path)
        except CheckpointError as error:
            _log.warning("passed over a damaged checkpoint: %s", error)
            continue
        return path
    return None


def keep_newest(parent: Path, count: int) -> None:
    """Delete all but the newest checkpoints of a trial, and what a dead process left half-written.

    Args:
        parent: the folder of a trial's checkpoints.
        count: how many are kept.
    """
    for path in sorted(parent.glob(f"{_PREFIX}*"))[: -count or None]:
        write_point()
        shutil.rmtree(path, ignore_errors=True)
    for path in parent.glob(".writing-*"):
        if not path.name.endswith(f"-{os.getpid()}"):
            shutil.rmtree(path, ignore_errors=True)


def checkpoint_iteration(path: Path) -> int:
    """Return the last iteration that was trained when the checkpoint was written.

    Raises:
        CheckpointError: it has no readable manifest.
    """
    return int(_manifest(path)["iteration"])


def load_weights(path: Path) -> tuple[Experiment, dict[str, Tensor]]:
    """Verify a checkpoint and return its settings and the brain's weights; nothing is unpickled.

    Raises:
        CheckpointError: missing, damaged, or of settings that this version does not know.
    """
    verify_checkpoint(path)
    try:
        experiment = Experiment.model_validate_json((path / "experiment.json").read_text())
        weights = safetensors.torch.load_file(path / "weights.safetensors")
    except (ValueError, safetensors.SafetensorError) as error:
        reason = str(error).splitlines()[0]
        msg = f"{path}: cannot be used, {reason}; it may come from another version"
        raise CheckpointError(msg) from error
    return experiment, weights


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / _MANIFEST).read_text())
    except (OSError, ValueError) as error:
        msg = f"{path}: not a checkpoint, its {_MANIFEST} cannot be read; give iteration-… folders"
        raise CheckpointError(msg) from error
    types = {"files": dict, "iteration": int}
    if not isinstance(manifest, dict) or any(
        not isinstance(manifest.get(key), kind) for key, kind in types.items()
    ):
        msg = f"{path}: not a checkpoint, its {_MANIFEST} lists no files; use another checkpoint"
        raise CheckpointError(msg)
    if path.name.startswith(_PREFIX) and path.name != _name(manifest["iteration"]):
        msg = (
            f"{path}: its {_MANIFEST} is of iteration {manifest['iteration']}, which differs from "
            "the folder's name; use another checkpoint"
        )
        raise CheckpointError(msg)
    return manifest


def _name(iteration: int) -> str:
    return f"{_PREFIX}{iteration:06d}"


def _write_manifest(scratch: Path, iteration: int) -> None:
    files = {}
    for file in sorted(f for f in scratch.rglob("*") if f.is_file()):
        _sync(file)
        name = str(file.relative_to(scratch))
        files[name] = _entry(file)
    manifest = scratch / _MANIFEST
    manifest.write_text(json.dumps({"version": 1, "iteration": iteration, "files": files}))
    _sync(manifest)


def _entry(file: Path) -> dict[str, Any]:
    return {"sha256": _digest(file), "bytes": file.stat().st_size}


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        msg = f"{file}: cannot be read, {error.strerror}; use another checkpoint"
        raise CheckpointError(msg) from error


def _sync(path: Path) -> None:
    """Make sure that a file or folder has reached the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
