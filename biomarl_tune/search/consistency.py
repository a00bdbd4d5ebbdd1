"""The checks that join the parts of a search space: settings, ranges, conditions, first trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from biomarl_tune.errors import InputError
from biomarl_tune.experiment import (
    EnvSettings,
    Experiment,
    ModelSettings,
    PPOSettings,
    Settings,
    canonical_name,
    setting_fields,
)
from biomarl_tune.search.corners import anchor, corners, needed
from biomarl_tune.search.refusal import SpecError, nearest, refusal_from
from biomarl_tune.search.space import Dimension, active, dimension_from, ordered, plain
from biomarl_tune.search.yaml_file import KeyPath, shown

MAX_CHOICES = 100

_GROUPS: dict[str, type[Settings]] = {
    "env": EnvSettings,
    "model": ModelSettings,
    "ppo": PPOSettings,
}


def fixed_settings(tree: Any, seed: int) -> tuple[Experiment, dict[str, Any]]:
    """Return the experiment that a search starts from, and which settings the file fixes.

    Args:
        tree: the `experiment` part of the file.
        seed: the experiment's seed where the file gives none.

    Raises:
        SpecError: an unknown setting, or a value that it does not take.
    """
    if not isinstance(tree, dict):
        raise SpecError(("experiment",), f"must be a mapping of settings, got {shown(tree)}")
    try:
        experiment = Experiment.model_validate({"seed": seed, **tree})
    except ValidationError as error:
        raise _experiment_refusal(error) from None
    flat = experiment.flat()
    names = [
        canonical_name(f"{group}.{key}" if isinstance(values, dict) else group)
        for group, values in tree.items()
        for key in (values if isinstance(values, dict) else [group])
    ]
    return experiment, {name: flat[name] for name in names}


def checked_space(
    tree: Any, experiment: Experiment, fixed: Mapping[str, Any]
) -> dict[str, Dimension]:
    """Return the dimensions of a space, each value in the type of its setting.

    Raises:
        SpecError: naming the first offending key.
    """
    if not isinstance(tree, dict) or not tree:
        raise SpecError(("space",), f"must name at least one setting to search, got {shown(tree)}")
    space: dict[str, Dimension] = {}
    for key, value in tree.items():
        path: KeyPath = ("space", key)
        name = _setting(key, path)
        if name in fixed:
            problem = f"is fixed under `experiment` too, at {shown(fixed[name])}; leave one out"
            raise SpecError(path, problem)
        if name in space:
            raise SpecError(path, f"is given twice, also as {name}; keep one")
        space[name] = _dimension(name, value, path)
    return _with_conditions(space, experiment.flat(), dict(zip(space, tree, strict=True)))


def check_points(space: Mapping[str, Dimension], experiment: Experiment) -> None:
    """Refuse a space that holds a point which no experiment takes.

    Raises:
        SpecError: naming a setting of that point, and what is wrong there.
    """
    for point in corners(space, experiment.flat()):
        try:
            experiment.with_settings(point)
        except InputError as error:
            named = [name for name in space if name in str(error)]
            problem = f"the space holds a point that cannot be trained: {error}"
            raise SpecError(("space", *named[:1]), problem) from None


def checked_starts(
    starts: Sequence[Any], space: Mapping[str, Dimension], experiment: Experiment
) -> tuple[dict[str, Any], ...]:
    """Return the searched settings of the trials that run first, missing ones filled in.

    Raises:
        SpecError: a setting that is not searched, a value outside the space, a repeated entry.
    """
    base = experiment.flat()
    complete: list[dict[str, Any]] = []
    for index, entry in enumerate(starts):
        path: KeyPath = ("search", "start_with", index)
        if not isinstance(entry, dict):
            raise SpecError(path, f"must be a mapping of settings to values, got {shown(entry)}")
        settings = _start(entry, space, base, path)
        if settings in complete:
            first = complete.index(settings)
            raise SpecError(path, f"runs the same settings as entry {first}; leave one out")
        try:
            experiment.with_settings(settings)
        except InputError as error:
            raise SpecError(path, f"cannot be trained: {error}") from None
        complete.append(settings)
    return tuple(complete)


def _experiment_refusal(error: ValidationError) -> SpecError:
    refusal = refusal_from(error, Experiment, ("experiment",))
    name, _, problem = refusal.problem.partition(": ")
    if name in setting_fields():  # a rule over several settings names one in its message
        return SpecError(("experiment", *name.split(".")), problem)
    return refusal


def _setting(key: str, path: KeyPath) -> str:
    try:
        name = canonical_name(key[:200])
    except InputError:
        problem = f"there is no such setting{nearest(key, setting_fields())}"
        raise SpecError(path, problem) from None
    if name == "seed":
        raise SpecError(path, "a seed is nothing to search, a lucky one would win; leave it out")
    return name


def _value(name: str, value: Any, path: KeyPath, part: str = "") -> Any:
    """Return a value in the type of its setting, without the rules that join settings."""
    group, key = name.split(".")
    try:
        return getattr(_GROUPS[group].model_validate({key: value}), key)
    except ValidationError as error:
        problem = refusal_from(error, _GROUPS[group], ()).problem
        raise SpecError(path, f"{part}{problem}") from None


def _dimension(name: str, tree: Any, path: KeyPath) -> Dimension:
    try:
        dimension = dimension_from(tree)
    except (TypeError, ValueError) as error:
        raise SpecError(path, str(error)) from None
    if dimension.kind == "choice":
        return _choice(name, dimension, path)
    annotation = setting_fields()[name].annotation
    if annotation not in {int, float}:
        raise SpecError(path, f"{dimension.kind}: is for numbers, {name} is none; use choice")
    if annotation is int and dimension.kind in {"uniform", "loguniform"}:
        kind = "int" if dimension.kind == "uniform" else "logint"
        raise SpecError(path, f"{dimension.kind}: {name} takes whole numbers; use {kind}")
    for bound in dimension.extremes:
        _value(name, bound, path, f"{dimension.kind}: ")
    return dimension


def _choice(name: str, dimension: Dimension, path: KeyPath) -> Dimension:
    if len(dimension.choices) > MAX_CHOICES:
        count = len(dimension.choices)
        raise SpecError(path, f"choice: must hold at most {MAX_CHOICES} values, got {count}")
    values = [_value(name, choice, path, "choice: ") for choice in dimension.choices]
    for index, value in enumerate(values):
        if value in values[:index]:
            raise SpecError(path, f"choice: holds a value twice, got {shown(value)}; keep one")
    return replace(dimension, choices=tuple(values))


def _with_conditions(
    space: dict[str, Dimension], base: Mapping[str, Any], keys: Mapping[str, str]
) -> dict[str, Dimension]:
    for name, dimension in space.items():
        path: KeyPath = ("space", keys[name], "when")
        when: dict[str, Any] = {}
        for key, value in dimension.when.items():
            parent = _setting(key, (*path, key))
            when[parent] = _value(parent, value, (*path, key))
            _check_can_hold(parent, when[parent], space, base, (*path, key))
        space[name] = replace(dimension, when=when)
    try:
        ordered(space)
    except InputError as error:
        raise SpecError(("space",), str(error).removeprefix("space.")) from None
    for name, dimension in space.items():
        wanted = {**anchor(space), **needed(space, name)}
        in_reach = all(space[p].contains(v) for p, v in dimension.when.items() if p in space)
        if in_reach and name not in active(space, wanted, base):
            problem = "its conditions contradict one another; it would never be searched"
            raise SpecError(("space", keys[name], "when"), problem)
    return space


def _check_can_hold(
    parent: str,
    value: Any,
    space: Mapping[str, Dimension],
    base: Mapping[str, Any],
    path: KeyPath,
) -> None:
    searched = space.get(parent)
    if searched and searched.contains(value):
        return
    if plain(base[parent]) == plain(value) and (searched is None or searched.when):
        return
    reason = "is searched without that value" if searched else f"is {shown(base[parent])}"
    raise SpecError(path, f"can never hold, got {shown(value)}: {parent} {reason}")


def _start(
    entry: Mapping[str, Any],
    space: Mapping[str, Dimension],
    base: Mapping[str, Any],
    path: KeyPath,
) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for key, raw in entry.items():
        name = _setting(key, (*path, key))
        if name not in space:
            raise SpecError((*path, key), "is not searched; put fixed settings under `experiment`")
        value = _value(name, raw, (*path, key))
        if not space[name].contains(value) and plain(value) != plain(base[name]):
            problem = f"is outside the space, got {shown(value)}; widen space.{name}"
            raise SpecError((*path, key), problem)
        given[name] = value
    settings = active(space, given, base)
    for name in given:
        if name not in settings:
            problem = "is not searched here, its `when` does not hold; leave it out"
            raise SpecError((*path, name), problem)
    return settings
