"""Signals: once asks the search to stop with checkpoints written, twice stops it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

GRACE_SECONDS = 10  # for the trials to write their checkpoints

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopNow(BaseException):
    """Raised in the main thread where it stands, when there is no more time."""


class Interruption:
    """Listen to SIGINT, SIGTERM and SIGHUP while a search runs.

    Outside the main thread nothing can be listened to, and nothing is.

    Args:
        ask: called at the first signal; without it, or after `at_once`, that one stops already.
    """

    def __init__(self, ask: Callable[[], None] | None = None) -> None:
        self._ask = ask
        self._before: dict[int, Any] = {}
        self.signal: int | None = None  # the first that came
        self._hurried = False

    def __enter__(self) -> Self:
        """Begin to listen; to be called again after something else took the signals over."""
        if threading.current_thread() is threading.main_thread():
            for number in (*_STOPPING, signal.SIGALRM):
                before = signal.signal(number, self._handle)
                self._before.setdefault(number, before)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Listen no more; a stop in a hurry ends here, as a stop in peace does."""
        if self._before:
            signal.alarm(0)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
        # compiled code, such as Ray's, makes a SystemError of what a handler raises
        return self._hurried and kind in {StopNow, SystemError}

    def at_once(self) -> None:
        """Stop at the first signal from now on: nothing is under way that would be lost."""
        self._ask = None

    @property
    def exit_signal(self) -> int:
        """The signal that the exit code speaks of: SIGINT, or SIGTERM for the others."""
        return signal.SIGINT if self.signal == signal.SIGINT else signal.SIGTERM

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.signal is not None:
            self._hurry()
        if number == signal.SIGALRM:
            return
        self.signal = number
        if self._ask is None:
            self._hurry()
        else:
            signal.alarm(GRACE_SECONDS)
            self._ask()

    def _hurry(self) -> None:
        self._hurried = True
        raise StopNow
