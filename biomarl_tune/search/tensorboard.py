"""TensorBoard events of a search: the named scalars of each trial and the HPARAMS tab."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
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
        self._files: dict[tuple[int, int], _EventFile] = {}  # by trial and training seed
        self._settings: dict[int, Mapping[str, Any]] = {}
        self._last: dict[int, float] = {}

    def started(self, number: int, settings: Mapping[str, Any], iteration: int) -> None:
        """Open a trial's file."""
        del iteration
        self._settings[number] = settings
        self._files[number, 0] = _EventFile(self._folder(number))

    def reported(self, number: int, report: Mapping[str, Any]) -> None:
        """Write the scalars of an iteration; a further training seed has a folder of its own."""
        values = [Summary.Value(tag=name, simple_value=report[name]) for name in SCALARS]
        seed = int(report.get("seed", 0))
        if (number, seed) not in self._files:
            self._files[number, seed] = _EventFile(self._folder(number) / f"seed-{seed}")
        self._files[number, seed].add_scalars(values, report["iteration"])
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
            for summary in hparams({**settings, "state": state}, result):
                file.add(Event(summary=summary))
        file.close()

    def close(self) -> None:
        """Close the files of trials that are still under way, as far as the disk takes them."""
        for file in self._files.values():
            with contextlib.suppress(OSError):
                file.close()
        self._files.clear()


class _EventFile:
    """One file of events, written by the thread that has them: a full disk is its error too.

    tensorboardX's own writer hands them to a thread, and waits for ever when that has died.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = EventsWriter(str(folder / "events"))
        self._empty = True

    def add_scalars(self, values: list[Summary.Value], step: int) -> None:
        """Write the scalars of a step; the file's first hide what earlier files hold from it on.

        A trial goes on from its checkpoint, which may lie before the last step that was written.
        """
        if self._empty:
            start = SessionLog(status=SessionLog.SessionStatus.Value("START"))
            self.add(Event(session_log=start, step=step))
            self._empty = False
        self.add(Event(summary=Summary(value=values), step=step))

    def add(self, event: Event) -> None:
        """Write an event, and past a process that dies: there are few, with seconds between."""
        event.wall_time = time.time()
        self._writer.write_event(event)
        self._writer.flush()

    def close(self) -> None:
        """Write what is left and close the file."""
        self._writer.close()
