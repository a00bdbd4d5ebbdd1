"""Samples that are drawn while the last ones are learned from."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from biomarl_tune.rllib.sampler import Sample


class Ahead:
    """At most one drawing under way in a thread, and what came of it."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._drawing: Future[list[Sample]] | None = None

    def begin(self, draw: Callable[[], list[Sample]]) -> None:
        """Begin to draw."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead")
        self._drawing = self._thread.submit(draw)

    def drawn(self) -> list[Sample] | None:
        """Wait for what is being drawn, and return it; None where nothing is.

        Raises:
            TrialError: what ``draw`` raised.
        """
        return None if self._drawing is None else self._drawing.result()

    def take(self) -> list[Sample] | None:
        """Do what ``drawn`` does, and forget it."""
        found = self.drawn()
        self._drawing = None
        return found

    def put_back(self, samples: list[Sample] | None) -> None:
        """Be where ``drawn`` returned these samples."""
        self.drop()
        if samples is not None:
            self._drawing = Future()
            self._drawing.set_result(samples)

    def drop(self) -> None:
        """Wait until nothing is being drawn, and forget what was; also why it failed."""
        if self._drawing is not None:
            self._drawing.exception()
            self._drawing = None
