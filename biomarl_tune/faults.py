"""The points between two writes, where a fault test ends the process or fails the disk."""

from __future__ import annotations

import errno
import itertools
import os

CRASH_AT = "BIOMARL_CRASH_AT"
FAIL_AT = "BIOMARL_FAIL_AT"
CRASH_CODE = 137  # what a shell shows for kill -9

_points = itertools.count(1)


def write_point() -> None:
    """Pass the point before a write.

    ``BIOMARL_CRASH_AT=12`` ends the process at its 12th point without any clean-up;
    ``BIOMARL_FAIL_AT=12:ENOSPC`` lets every write from the 12th on fail like a full disk.

    Raises:
        OSError: the write is to fail.
    """
    crash, fail = os.environ.get(CRASH_AT), os.environ.get(FAIL_AT)
    if crash is None and fail is None:
        return
    point = next(_points)
    if crash is not None and point == int(crash):
        os._exit(CRASH_CODE)
    if fail is None:
        return
    first, _, name = fail.partition(":")
    if point >= int(first):
        number = int(getattr(errno, name))
        raise OSError(number, os.strerror(number))
