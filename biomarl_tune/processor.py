"""Who made this processor, where that decides what is fast on it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_ABOUT = Path("/proc/cpuinfo")


def is_made_by(vendor: Literal["GenuineIntel", "AuthenticAMD"]) -> bool:
    """Return whether this processor calls itself so; False where the system does not tell."""
    return _ABOUT.exists() and vendor in _ABOUT.read_text(encoding="utf-8")
