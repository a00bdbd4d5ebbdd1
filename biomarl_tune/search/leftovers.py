"""What a dead process left behind in the folders of trials."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

_PREFIX = "iteration-"
_HALF_WRITTEN = "trials/*/checkpoints/**/.writing-*"

_log = logging.getLogger(__name__)


def half_written(run: Path) -> list[Path]:
    """Return the checkpoints of a run that were never finished."""
    return sorted(run.glob(_HALF_WRITTEN))


def unrecorded(trial: Path, last: Callable[[int], int]) -> list[Path]:
    """Return the checkpoints that are ahead of the record by more than the report under way.

    Such a record is a copy from before, or lost its last writes. What comes after it was never
    compared with other trials.

    Args:
        trial: the trial's folder.
        last: gives the last iteration recorded of a training seed.
    """
    found = trial.glob(f"checkpoints/**/{_PREFIX}*")
    return sorted(path for path in found if _iteration(path) > last(_seed(path)) + 1)


def drop_unrecorded(trial: Path, last: Callable[[int], int]) -> None:
    """Delete the checkpoints of `unrecorded`, so that the trial goes on from the record."""
    for path in unrecorded(trial, last):
        _log.warning("deleted %s, which is ahead of the record", path)
        shutil.rmtree(path)


def drop_half_written(run: Path) -> None:
    """Delete the checkpoints of `half_written`."""
    for path in half_written(run):
        shutil.rmtree(path, ignore_errors=True)


def _iteration(path: Path) -> int:
    digits = path.name.removeprefix(_PREFIX)
    return int(digits) if digits.isdigit() else 0


def _seed(path: Path) -> int:
    digits = path.parent.name.removeprefix("seed-")
    return int(digits) if digits.isdigit() else 0
