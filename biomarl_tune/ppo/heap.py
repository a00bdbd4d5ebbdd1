"""The memory that learning frees is kept, because it is needed again at once."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_KEPT = 1 << 30  # bytes


@cache
def keep_freed_memory() -> None:
    """Tell the C library not to give freed memory back to the system.

    By default glibc returns a minibatch's megabytes after each gradient step, and getting their
    pages again takes up to a fifth of the learning time. Elsewhere nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl has none
        mallopt(_MMAP_THRESHOLD, _KEPT)
        mallopt(_TRIM_THRESHOLD, _KEPT)
