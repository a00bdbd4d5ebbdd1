"""How checkpoints fare in worlds they were not trained in: other colonies, lattices, failures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from biomarl_tune.analysis.contenders import RESAMPLES, by_seed, contender_name
from biomarl_tune.analysis.evaluation import Say, Stage, brain, replay_policy
from biomarl_tune.analysis.statistics import bootstrap_interval
from biomarl_tune.errors import InputError
from biomarl_tune.experiment import EnvSettings, Experiment
from biomarl_tune.ppo.checkpoint import load_weights

DROP = "drop_agents"
MOST_WORLDS = 200

Axes = dict[str, list[Any]]


def parse_axes(varied: Iterable[str]) -> Axes:
    """Read ``--vary`` options such as ``num_agents=10,20`` or ``grid_size=4x3x3,8x6x6``.

    Args:
        varied: each names a setting of the world, or ``drop_agents`` (the share of agents that
            stand still in the nest from the first step), and the values it takes.

    Raises:
        InputError: it cannot be read, or names no setting of the world.
    """
    axes: Axes = {}
    for text in varied:
        name, equals, values = text.partition("=")
        name = name.strip().removeprefix("env.")
        if not equals or not values.strip():
            msg = f"--vary: needs NAME=VALUE,VALUE such as num_agents=10,20, got {text!r}"
            raise InputError(msg)
        if name != DROP and name not in EnvSettings.model_fields:
            known = ", ".join((DROP, *EnvSettings.model_fields))
            msg = f"--vary: there is no setting {name!r} of the world; use one of {known}"
            raise InputError(msg)
        axes.setdefault(name, []).extend(_value(name, part.strip()) for part in values.split(","))
    return axes


def worlds_of(axes: Axes, experiment: Experiment) -> list[dict[str, Any]]:
    """Return every combination of the values, the trained world's own always among them.

    Raises:
        InputError: there are more than 200.
    """
    own = own_world(axes, experiment)
    values = [list(dict.fromkeys([own[name], *axes[name]])) for name in axes]
    if math.prod(map(len, values)) > MOST_WORLDS:
        count = math.prod(map(len, values))
        msg = f"--vary: {count} worlds are too many; leave values out, at most {MOST_WORLDS}"
        raise InputError(msg)
    return [dict(zip(axes, point, strict=True)) for point in itertools.product(*values)]


def own_world(axes: Iterable[str], experiment: Experiment) -> dict[str, Any]:
    """Return what the trained world has where others are varied."""
    return {name: 0.0 if name == DROP else getattr(experiment.env, name) for name in axes}


def vary(checkpoints: Mapping[int, Path], axes: Axes, stage: Stage, say: Say) -> pd.DataFrame:
    """Replay checkpoints in every combination of the varied settings, on the same held-out seeds.

    Args:
        checkpoints: by the number of the trial.
        axes: as ``parse_axes`` returns them.
        stage: the seeds.
        say: is told what takes a while.

    Returns:
        The columns of an evaluation, one column a varied setting (as text), ``agents`` that act,
        and ``own``: whether this is the world that the checkpoint was trained in.

    Raises:
        InputError: a value that the world does not take.
        CheckpointError: a checkpoint is damaged.
    """
    loaded = {number: load_weights(path) for number, path in checkpoints.items()}
    every = {number: worlds_of(axes, experiment) for number, (experiment, _) in loaded.items()}
    frames = []
    for number, (experiment, weights) in loaded.items():
        for world in every[number]:
            say(f"replaying {contender_name(number)} with {shown_world(world)}")
            settings = {f"env.{name}": value for name, value in world.items() if name != DROP}
            varied = experiment.with_settings(settings)
            idle = round(world.get(DROP, 0.0) * varied.env.num_agents)
            frame = replay_policy(varied, brain(varied, weights), number, stage, idle=idle)
            labels = {name: shown_part(value) for name, value in world.items()}
            is_own = world == own_world(axes, experiment)
            extra = {**labels, "agents": varied.env.num_agents - idle, "own": is_own}
            frames.append(frame.assign(**extra))
    return pd.concat(frames, ignore_index=True)


def robustness_summary(table: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Return one row a checkpoint and world, with what an agent brings compared with its own world.

    Args:
        table: as ``vary`` returns it.
        seed: of the bootstrap.

    Returns:
        ``number``, the varied settings, ``own``, ``agents``, ``iqm`` with ``low`` and ``high`` of
        the colony's return, ``deliveries`` an episode, ``per_agent``, and ``kept``: the return
        of an acting agent as a share of what it is in the trained world.
    """
    rng = np.random.default_rng(seed)
    names = varied_names(table)
    rows = []
    for key, part in table.groupby(["number", *names, "own", "agents"], sort=False):
        score = bootstrap_interval(by_seed(part), rng=rng, resamples=RESAMPLES)
        agents = max(part["agents"].iloc[0], 1)
        rows.append((*key, *score, part["deliveries"].mean(), score.estimate / agents))
    averages = ["iqm", "low", "high", "deliveries", "per_agent"]
    summary = pd.DataFrame(rows, columns=["number", *names, "own", "agents", *averages])
    home = summary[summary["own"]].set_index("number")["per_agent"]
    summary["kept"] = summary["per_agent"] / summary["number"].map(home)
    return summary


def worst_cases(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the row of each checkpoint where an agent keeps least, the best of these first."""
    rows = summary.loc[summary.groupby("number")["kept"].idxmin()]
    return rows.sort_values("kept", ascending=False, ignore_index=True)


def robustness_lines(summary: pd.DataFrame) -> list[str]:
    """Say in words where each checkpoint does worst."""
    names = varied_names(summary)
    return [
        f"Worst case of {contender_name(row['number'])}: "
        f"{shown_world({name: row[name] for name in names})}, colony return {row['iqm']:.1f} "
        f"[{row['low']:.1f}, {row['high']:.1f}]; an acting agent brings {row['kept']:.0%} of what "
        f"it brings in the trained world."
        for row in worst_cases(summary).to_dict("records")
    ]


def varied_names(table: pd.DataFrame) -> list[str]:
    """Return which columns of a table are varied settings."""
    return [name for name in table if name == DROP or name in EnvSettings.model_fields]


def shown_world(world: Mapping[str, Any]) -> str:
    """Return a world's settings on one line."""
    return ", ".join(f"{name} {shown_part(value)}" for name, value in world.items())


def shown_part(value: Any) -> str:
    """Return a value as the command line takes it."""
    if isinstance(value, tuple | list):
        return "x".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _value(name: str, text: str) -> Any:
    if name == "grid_size":
        return tuple(_whole(name, part) for part in text.split("x"))
    if EnvSettings.model_fields.get(name) and EnvSettings.model_fields[name].annotation is int:
        return _whole(name, text)
    try:
        number = float(text)
    except ValueError:
        msg = f"--vary: {name} must be numbers, got {text!r}"
        raise InputError(msg) from None
    if name == DROP and not 0 <= number < 1:
        msg = f"--vary: {name} is a share of the agents, at least 0 and below 1, got {text}"
        raise InputError(msg)
    return number


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        msg = f"--vary: {name} must be whole numbers, got {text!r}"
        raise InputError(msg) from None
