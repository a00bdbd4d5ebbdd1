"""The points of a space that a check of the whole space has to look at."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

from biomarl_tune.search.space import Dimension, active, is_number

MAX_CORNERS = 512


def corners(space: Mapping[str, Dimension], base: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the points that a check of the whole space has to look at.

    All combinations of the choices and bounds where these are at most 512; else every choice and
    bound alone, and the smallest and largest in pairs. That is exact for rules that compare up to
    two numbers.
    """
    combinations = math.prod(len(dimension.extremes) for dimension in space.values())
    if combinations <= MAX_CORNERS:
        for values in itertools.product(*(space[name].extremes for name in space)):
            yield active(space, dict(zip(space, values, strict=True)), base)
        return
    start = anchor(space)
    for name in space:
        for value in space[name].extremes:
            yield active(space, {**start, **needed(space, name), name: value}, base)
    for first, second in itertools.combinations(space, 2):
        near = {**start, **needed(space, first), **needed(space, second)}
        for pair in itertools.product(_ends(space[first]), _ends(space[second])):
            yield active(space, {**near, first: pair[0], second: pair[1]}, base)


def anchor(space: Mapping[str, Dimension]) -> dict[str, Any]:
    """Return one point of the space, before its conditions are looked at."""
    return {name: dimension.extremes[0] for name, dimension in space.items()}


def needed(space: Mapping[str, Dimension], name: str) -> dict[str, Any]:
    """Return what must hold for a setting to be searched, its parents' conditions included."""
    when = space[name].when
    found = dict(when)
    for parent in when:
        if parent in space:
            found = {**needed(space, parent), **found}
    return found


def _ends(dimension: Dimension) -> tuple[Any, ...]:
    """Return the smallest and the largest value, or the first and the last without an order."""
    values = dimension.extremes
    if all(map(is_number, values)):
        return (min(values), max(values))
    return (values[0], values[-1])
