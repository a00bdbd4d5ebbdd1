"""Loops over worlds and agents, compiled by numba; what is compiled is kept on disk.

Numba compiles a function anew when its file changes, but not when something of another file does:
compiled functions call none outside their own file, and take from elsewhere only constants that
define the world, such as the number of moves. They add up in loops: for `sum` and `mean` of numpy,
numba imports linear algebra, a quarter of a second in every process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core.base import BaseContext
from numba.core.caching import FunctionCache
from numba.core.compiler import CompileResult
from numba.core.runtime import nrt
from numba.core.typing.templates import Signature

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
    dispatcher = numba.njit(error_model="numpy", **options)(function)
    with contextlib.suppress(RuntimeError):  # no place to keep it
        dispatcher._cache = _Kept(function)  # type: ignore[no-untyped-call] # noqa: SLF001
    return cast("F", dispatcher)


class _Kept(FunctionCache):
    """What is compiled, on disk, loaded without what only a compiler needs.

    Numba's own loading first imports all that it can compile, a tenth of a second in each process.
    """

    def load_overload(self, sig: Signature, target_context: BaseContext) -> CompileResult | None:
        """Return what is kept for a signature; None where nothing is, and it will be compiled."""
        nrt.rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            found = self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]
            return cast("CompileResult | None", found)
