"""TensorBoard events of a search: the named scalars of each trial and the HPARAMS tab."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from biomarl_tune.scalars import SCALARS


class TensorBoard:
    """Write each trial's events into its own folder; an observer of the search.

    Args:
        folder: gives the folder of a trial by its number.
        metric: the objective's scalar, which the HPARAMS tab shows.
    """

    def __init__(self, folder: Callable[[int], Path], metric: str) -> None:
        self._folder = folder
        self._metric = metric
        self._writers: dict[int, SummaryWriter] = {}
        self._settings: dict[int, Mapping[str, Any]] = {}
        self._last: dict[int, float] = {}

    def started(self, number: int, settings: Mapping[str, Any], iteration: int) -> None:
        """Open a trial's file; events after ``iteration``, from an earlier start, are hidden."""
        self._settings[number] = settings
        purge = {"purge_step": iteration + 1} if iteration else {}
        self._writers[number] = SummaryWriter(
            str(self._folder(number)), flush_secs=10, max_queue=100, **purge
        )

    def reported(self, number: int, report: Mapping[str, Any]) -> None:
        """Write the scalars of an iteration."""
        writer = self._writers[number]
        for name in SCALARS:
            writer.add_scalar(name, report[name], report["iteration"])
        self._last[number] = report[self._metric]

    def ended(self, number: int, state: str, reason: str) -> None:
        """Write the trial's settings and result for the HPARAMS tab and close the file."""
        del reason
        writer = self._writers.pop(number)
        settings = {
            name: value if isinstance(value, bool | int | float | str) else str(value)
            for name, value in self._settings.pop(number).items()
        }
        if number in self._last:
            result = {self._metric: self._last[number]}
            for summary in hparams({**settings, "state": state}, result):
                writer.file_writer.add_summary(summary)
        writer.close()

    def close(self) -> None:
        """Close the files of trials that are still under way."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
