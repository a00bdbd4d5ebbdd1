"""A file of TensorBoard events; a module of its own, because tensorboardX imports torch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import hparams


class EventFile:
    """One file of events, written by the thread that has them: a full disk is its error too.

    tensorboardX's own writer hands them to a thread, and waits for ever when that has died.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = EventsWriter(str(folder / "events"))
        self._empty = True

    def add_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        """Write the scalars of a step; the file's first hide what earlier files hold from it on.

        A trial goes on from its checkpoint, which may lie before the last step that was written.
        """
        if self._empty:
            start = SessionLog(status=SessionLog.SessionStatus.Value("START"))
            self._add(Event(session_log=start, step=step))
            self._empty = False
        values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self._add(Event(summary=Summary(value=values), step=step))

    def add_result(self, settings: Mapping[str, Any], result: Mapping[str, float]) -> None:
        """Write a trial's settings and what came of them, for the HPARAMS tab."""
        for summary in hparams(dict(settings), dict(result)):
            self._add(Event(summary=summary))

    def _add(self, event: Event) -> None:
        """Write an event, and past a process that dies: there are few, with seconds between."""
        event.wall_time = time.time()
        self._writer.write_event(event)
        self._writer.flush()

    def close(self) -> None:
        """Write what is left and close the file."""
        self._writer.close()
