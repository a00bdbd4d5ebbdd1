"""TensorBoard events of a search: the named scalars of each trial and the HPARAMS tab."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biomarl_tune.scalars import SCALARS

if TYPE_CHECKING:
    from biomarl_tune.search.event_file import EventFile


class TensorBoard:
    """Write each trial's events into its own folder; an observer of the search.

    Args:
        folder: gives the folder of a trial by its number.
        metric: the objective's scalar, which the HPARAMS tab shows.
    """

    def __init__(self, folder: Callable[[int], Path], metric: str) -> None:
        self._folder = folder
        self._metric = metric
        self._files: dict[tuple[int, int], EventFile] = {}  # by trial and training seed
        self._settings: dict[int, Mapping[str, Any]] = {}
        self._last: dict[int, float] = {}

    def started(self, number: int, settings: Mapping[str, Any], iteration: int) -> None:
        """Open a trial's file."""
        del iteration
        self._settings[number] = settings
        self._files[number, 0] = _event_file(self._folder(number))

    def reported(self, number: int, report: Mapping[str, Any]) -> None:
        """Write the scalars of an iteration; a further training seed has a folder of its own."""
        scalars = {name: report[name] for name in SCALARS}
        seed = int(report.get("seed", 0))
        if (number, seed) not in self._files:
            self._files[number, seed] = _event_file(self._folder(number) / f"seed-{seed}")
        self._files[number, seed].add_scalars(scalars, report["iteration"])
        self._last[number] = report.get("value", report[self._metric])

    def ended(self, number: int, state: str, reason: str) -> None:
        """Write the trial's settings and result for the HPARAMS tab and close the file."""
        del reason
        file = self._files.pop((number, 0))
        for seed in [seed for trial, seed in self._files if trial == number]:
            self._files.pop((number, seed)).close()
        settings = {
            name: value if isinstance(value, bool | int | float | str) else str(value)
            for name, value in self._settings.pop(number).items()
        }
        if number in self._last:
            result = {self._metric: self._last[number]}
            file.add_result({**settings, "state": state}, result)
        file.close()

    def close(self) -> None:
        """Close the files of trials that are still under way, as far as the disk takes them."""
        for file in self._files.values():
            with contextlib.suppress(OSError):
                file.close()
        self._files.clear()


def _event_file(folder: Path) -> EventFile:
    """Open a file in a folder."""
    from biomarl_tune.search.event_file import EventFile  # noqa: PLC0415 - it imports torch

    return EventFile(folder)
