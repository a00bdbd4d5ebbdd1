"""A time limit for what runs in the main thread of this process."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from biomarl_tune.errors import TrialError

_SIGNAL = signal.SIGUSR2  # Tune has SIGUSR1, and the alarm belongs to the interruption


def too_long(seconds: float) -> str:
    """Return the reason with which a trial fails whose iteration has hung."""
    return (
        f"an iteration took longer than {seconds:g} seconds (stopping.iteration_seconds), "
        "it has hung"
    )


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise where the main thread stands, when the body takes longer.

    What hangs inside a library's compiled code is not reached. Outside the main thread there is
    no limit.

    Raises:
        TrialError: the time is over.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    armed = True

    def stop(_number: int, _frame: FrameType | None) -> None:
        if armed:
            raise TrialError(too_long(seconds))

    before = signal.signal(_SIGNAL, stop)
    main = threading.main_thread().ident
    assert main is not None, "the main thread runs"
    timer = threading.Timer(seconds, signal.pthread_kill, (main, _SIGNAL))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        armed = False
        timer.cancel()
        timer.join()  # a signal under way arrives before the handler is taken back
        signal.signal(_SIGNAL, before)
