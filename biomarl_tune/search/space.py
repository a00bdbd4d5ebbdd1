"""The space of a search: ranges, choices and conditions over dotted names of settings."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from biomarl_tune.errors import InputError
from biomarl_tune.search.yaml_file import shown

Kind = Literal["uniform", "loguniform", "int", "logint", "choice"]

RANGES = ("uniform", "loguniform", "int", "logint")
KINDS = (*RANGES, "choice")


class Draws(Protocol):
    """What draws a value: an Optuna trial, or anything with its three methods."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        """Draw a float; the bounds are inclusive."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """Draw an integer; the bounds are inclusive."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Draw one of the choices."""


@dataclass(frozen=True)
class Dimension:
    """What one setting may be, and when it is searched at all.

    Attributes:
        kind: uniform, loguniform, int, logint or choice.
        low: lower bound, inclusive; 0 for a choice.
        high: upper bound, inclusive; 0 for a choice.
        step: distance between neighbouring values of a uniform or int, if they are on a grid.
        choices: the values of a choice, in the order given; empty for a range.
        when: searched only where these settings have these values; else the setting keeps its
            fixed or default value.
    """

    kind: Kind
    low: float = 0
    high: float = 0
    step: float | None = None
    choices: tuple[Any, ...] = ()
    when: dict[str, Any] = field(default_factory=dict)

    @property
    def log(self) -> bool:
        """Whether values are drawn on a logarithmic scale."""
        return self.kind in {"loguniform", "logint"}

    @property
    def extremes(self) -> tuple[Any, ...]:
        """The choices, or both bounds of a range: what a check has to look at."""
        return self.choices or (self.low, self.high)

    def contains(self, value: Any) -> bool:
        """Tell whether a value can be drawn, up to rounding of a step's grid."""
        if self.kind == "choice":
            return plain(value) in [plain(choice) for choice in self.choices]
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if self.kind in {"int", "logint"} and not float(value).is_integer():
            return False
        return self.low <= value <= self.high and _on_grid(value - self.low, self.step)


def plain(value: Any) -> Any:
    """Return a value as Optuna can hold it: lists (a lattice's size) become their JSON text."""
    return json.dumps(value) if isinstance(value, list | tuple) else value


def is_number(value: Any) -> bool:
    """Tell whether a value is an int or a float; a bool is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def dimension_from(tree: Any) -> Dimension:
    """Build a dimension from its YAML form, e.g. ``{uniform: [0.2, 0.999], step: 0.001}``.

    Raises:
        TypeError: it is no mapping, or its `when` is none.
        ValueError: one line that names the part, the value and the remedy.
    """
    if not isinstance(tree, dict):
        msg = f"must be a mapping such as {{uniform: [0.2, 0.9]}}, got {shown(tree)}"
        raise TypeError(msg)
    kinds = [key for key in tree if key in KINDS]
    unknown = [key for key in tree if key not in {*KINDS, "step", "when"}]
    if unknown:
        msg = f"{shown(unknown[0])}: there is no such key; use {', '.join(KINDS)}, step or when"
        raise ValueError(msg)
    if len(kinds) != 1:
        msg = f"needs exactly one of {', '.join(KINDS)}, got {', '.join(kinds) or 'none'}"
        raise ValueError(msg)
    when = tree.get("when", {})
    if not isinstance(when, dict):
        msg = f"when: must be a mapping of settings to values, got {shown(when)}"
        raise TypeError(msg)
    if kinds[0] == "choice":
        return Dimension("choice", choices=_choices(tree), when=when)
    return _range(kinds[0], tree, when)


def ordered(space: Mapping[str, Dimension]) -> list[str]:
    """Return the names so that a setting comes after those its `when` asks about.

    Raises:
        InputError: conditions that go round in a circle.
    """
    order: list[str] = []
    left = dict(space)
    while left:
        ready = [name for name, dimension in left.items() if not dimension.when.keys() & left]
        if not ready:
            msg = f"space.{next(iter(left))}: its `when` depends on itself; break the circle"
            raise InputError(msg)
        order += ready
        left = {name: left[name] for name in left if name not in ready}
    return order


def active(
    space: Mapping[str, Dimension], settings: Mapping[str, Any], base: Mapping[str, Any]
) -> dict[str, Any]:
    """Return of `settings` those that are searched at this point of the space.

    Args:
        space: the dimensions.
        settings: a value for some of them; a missing one takes its value in `base`.
        base: what every setting is where it is not searched.
    """
    point = dict(base)
    found: dict[str, Any] = {}
    for name in ordered(space):
        if not holds(space[name].when, point):
            continue
        found[name] = point[name] = settings.get(name, base[name])
    return found


def holds(when: Mapping[str, Any], point: Mapping[str, Any]) -> bool:
    """Tell whether every condition holds at a point that names all settings."""
    return all(plain(point[name]) == plain(value) for name, value in when.items())


def suggest(
    draws: Draws, space: Mapping[str, Dimension], base: Mapping[str, Any]
) -> dict[str, Any]:
    """Draw a value for every setting that is searched at the point being drawn."""
    point = dict(base)
    drawn: dict[str, Any] = {}
    for name in ordered(space):
        if holds(space[name].when, point):
            drawn[name] = point[name] = _draw(draws, name, space[name])
    return drawn


def greatest(space: Mapping[str, Dimension], base: Mapping[str, Any], name: str) -> Any:
    """Return the largest value that a numeric setting takes anywhere in the space."""
    return max((*space[name].extremes, base[name])) if name in space else base[name]


def _choices(tree: dict[str, Any]) -> tuple[Any, ...]:
    choices = tree["choice"]
    if "step" in tree:
        msg = f"step: does not go with choice, got {shown(tree['step'])}; leave it out"
        raise ValueError(msg)
    if not isinstance(choices, list) or not choices:
        msg = f"choice: must be a list of at least one value, got {shown(choices)}"
        raise ValueError(msg)
    return tuple(choices)


def _range(kind: Any, tree: dict[str, Any], when: dict[str, Any]) -> Dimension:
    bounds = tree[kind]
    if not isinstance(bounds, list) or len(bounds) != 2 or not all(map(is_number, bounds)):
        msg = f"{kind}: must be two numbers [low, high], got {shown(bounds)}"
        raise ValueError(msg)
    low, high = bounds
    if not math.isfinite(low) or not math.isfinite(high) or not math.isfinite(high - low):
        msg = f"{kind}: bounds must be finite, got low={low} high={high}"
        raise ValueError(msg)
    if low >= high:
        msg = f"{kind}: low must be below high, got low={low} high={high}; swap or widen them"
        raise ValueError(msg)
    if kind.startswith("log") and low <= 0:
        msg = f"{kind}: low must be above 0 on a logarithmic scale, got low={low}; raise it"
        raise ValueError(msg)
    if kind in {"int", "logint"} and not all(isinstance(bound, int) for bound in bounds):
        msg = f"{kind}: bounds must be whole numbers, got {shown(bounds)}; or use uniform"
        raise ValueError(msg)
    if kind in {"uniform", "loguniform"}:
        low, high = float(low), float(high)
    step = _step(kind, tree["step"], low, high) if "step" in tree else None
    return Dimension(kind, low, high, step, when=when)


def _step(kind: str, step: Any, low: float, high: float) -> float:
    if kind.startswith("log"):
        msg = f"step: does not go with {kind}, got {shown(step)}; leave it out"
        raise ValueError(msg)
    if not is_number(step) or not math.isfinite(step) or step <= 0:
        msg = f"step: must be a number above 0, got {shown(step)}"
        raise ValueError(msg)
    if kind == "int" and not isinstance(step, int):
        msg = f"step: must be a whole number for int, got {shown(step)}"
        raise ValueError(msg)
    if not _on_grid(high - low, step):
        msg = f"step: must divide high - low, got step={step} low={low} high={high}"
        raise ValueError(msg)
    return float(step) if kind == "uniform" else step


def _on_grid(distance: float, step: float | None) -> bool:
    if step is None:
        return True
    steps = distance / step
    return math.isfinite(steps) and abs(steps - round(steps)) <= 1e-6


def _draw(draws: Draws, name: str, dimension: Dimension) -> Any:
    if dimension.kind == "choice":
        drawn = draws.suggest_categorical(name, [plain(choice) for choice in dimension.choices])
        return next(choice for choice in dimension.choices if plain(choice) == drawn)
    low, high, log = dimension.low, dimension.high, dimension.log
    if dimension.kind in {"int", "logint"}:
        step = int(dimension.step or 1)
        return draws.suggest_int(name, int(low), int(high), step=step, log=log)
    return draws.suggest_float(name, low, high, step=dimension.step, log=log)
