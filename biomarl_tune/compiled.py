"""Loops over worlds and agents, compiled by numba; what is compiled is kept on disk.

Numba compiles a function anew when its file changes, but not when something of another file does:
compiled functions call none outside their own file, and take from elsewhere only constants that
define the world, such as the number of moves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile a function of numpy arrays and numbers when it is first called.

    Where neither the package's folder nor the user's cache can be written, every process compiles
    for itself.
    """
    return _compiled(function, fastmath=False)


def compiled_loosely(function: F) -> F:
    """Compile with sums taken in any order, and products added without rounding in between.

    That is what processors do best. As in every matrix product, last digits depend on the machine.
    """
    return _compiled(function, fastmath={"reassoc", "contract"})


def _compiled(function: F, **options: Any) -> F:
    try:
        return cast("F", numba.njit(cache=True, error_model="numpy", **options)(function))
    except RuntimeError:  # no place to keep it
        return cast("F", numba.njit(error_model="numpy", **options)(function))
