"""run.log: what libraries print and log while a search runs, and our own events."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO, cast

from rich.console import Console

from biomarl_tune.errors import BiomarlError
from biomarl_tune.steady import SteadyStream

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def chatter_to(log: Path) -> Iterator[Console]:
    """Send what libraries print and log to a file; yield a console that still reaches the user.

    Raises:
        BiomarlError: an error that nobody foresaw; its traceback is in the file.
    """
    with _logging_to(log), _told_in(log):
        if sys.stdout is not sys.__stdout__:  # a notebook or a test has its own
            yield Console()
            return
        _flush()
        out, err = os.dup(1), os.dup(2)
        try:
            with log.open("ab") as file, os.fdopen(os.dup(out), "w") as user:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
                steady = SteadyStream(user)
                try:
                    yield Console(file=cast("TextIO", steady))
                finally:
                    steady.flush()
        finally:
            _flush()
            for saved, number in ((out, 1), (err, 2)):
                os.dup2(saved, number)
                os.close(saved)


def tell(console: Console, text: str) -> None:
    """Say it to the user, and to the log."""
    _log.info(text)
    wrap = console.is_terminal  # between words; elsewhere a line stays a line
    console.print(text, markup=False, highlight=False, soft_wrap=not wrap)


@contextlib.contextmanager
def _logging_to(log: Path) -> Iterator[None]:
    """Write our events and all warnings to a file, each with its time, and nowhere else."""
    handler = logging.FileHandler(log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root, ours = logging.getLogger(), logging.getLogger("biomarl_tune")
    before, level = list(root.handlers), ours.level
    root.handlers = [handler]
    ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers = before
        ours.setLevel(level)
        handler.close()


@contextlib.contextmanager
def _told_in(log: Path) -> Iterator[None]:
    """Write the traceback of an error of ours into the log, and tell the user on one line."""
    try:
        yield
    except BiomarlError:
        raise
    except Exception as error:
        _log.exception("an error that was not foreseen")
        msg = f"internal error, {type(error).__name__}: {error}; its traceback is in {log}"
        raise BiomarlError(" ".join(msg.split())) from error


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):  # nobody reads it any more
                stream.flush()
