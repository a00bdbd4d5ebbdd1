"""Two runs side by side: their winners, replayed on the same held-out seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from biomarl_tune.analysis.contenders import RESAMPLES, by_seed
from biomarl_tune.analysis.evaluation import Say, Stage, replay_checkpoint, trained_checkpoint
from biomarl_tune.analysis.statistics import (
    Interval,
    bootstrap_interval,
    paired_difference,
    probability_of_improvement,
)
from biomarl_tune.analysis.trials import load_table
from biomarl_tune.analysis.verdict import (
    Finding,
    Verdict,
    compare,
    interval_data,
    shown_score,
    signed,
    verdict_of,
)
from biomarl_tune.errors import InputError
from biomarl_tune.search.study import Study


@dataclass(frozen=True)
class Side:
    """One run's winner."""

    run: str
    number: int  # of the trial
    score: Interval  # interquartile mean of the colony's return
    deliveries: float  # per episode
    cpu_seconds: float  # of its training
    settings: dict[str, Any]  # all of them, by dotted name


@dataclass(frozen=True)
class Comparison:
    """What two runs' winners returned on common seeds."""

    first: Side
    second: Side
    finding: Finding  # what the first is, next to the second
    difference: Interval  # first minus second, paired by seed
    improvement: Interval  # P(an episode of the first returns more than one of the second)
    settings: dict[str, tuple[Any, Any]]  # those in which the two differ
    world: list[str]  # settings of the world that differ though neither run searched them
    seeds: int
    episodes: int


def evaluated(study: Study) -> Verdict:
    """Return the verdict that a run's evaluation stage came to.

    Raises:
        InputError: it has not been evaluated.
    """
    evaluation = load_table(study.directory, "evaluation")
    if evaluation.empty:
        path = study.directory.path
        msg = f"{path}: nothing was replayed yet; run biomarl-tune evaluate {path} first"
        raise InputError(msg)
    return verdict_of(study, evaluation)


def compare_runs(first: Study, second: Study, stage: Stage, say: Say) -> Comparison:
    """Replay both runs' winners, each in its own world, on the same held-out seeds.

    Args:
        first: a study.
        second: another.
        stage: the seeds and episodes.
        say: is told what takes a while.

    Raises:
        InputError: a run has not been evaluated.
        CheckpointError: a winner's checkpoint is damaged.
    """
    winners = [evaluated(study).winner.number for study in (first, second)]
    pairs = list(zip((first, second), winners, strict=True))
    tables = [_replayed(study, number, stage, say) for study, number in pairs]
    left, right = (by_seed(table) for table in tables)
    sides = [_side(*pair, table) for pair, table in zip(pairs, tables, strict=True)]
    a, b = (side.settings for side in sides)
    differ = {name: (a[name], b[name]) for name in a if a[name] != b[name] and name != "seed"}
    searched = first.spec.space.keys() | second.spec.space.keys()
    return Comparison(
        first=sides[0],
        second=sides[1],
        finding=compare(sides[0].score, sides[1].score),
        difference=paired_difference(left, right, rng=_rng(), resamples=RESAMPLES),
        improvement=probability_of_improvement(left, right, paired=True),
        settings=differ,
        world=[name for name in differ if name.startswith("env.") and name not in searched],
        seeds=stage.seeds,
        episodes=stage.episodes_per_seed,
    )


def comparison_lines(found: Comparison) -> list[str]:
    """Say the comparison in words."""
    first, second = found.first, found.second
    names = [f"trial {side.number} of {side.run}" for side in (first, second)]
    returns = f"{shown_score(first.score)} against {shown_score(second.score)}"
    words = {
        "better": f"{names[0]} is better than {names[1]}: {returns}.",
        "worse": f"{names[1]} is better than {names[0]}: {shown_score(second.score)} against "
        f"{shown_score(first.score)}.",
        "same": f"{names[0]} and {names[1]} are not distinguishable: {returns}; the intervals "
        "overlap.",
    }
    head = words[found.finding]
    chances = found.improvement
    apart = (
        f"On the same {found.seeds} held-out seeds, {found.seeds * found.episodes} episodes, the "
        f"difference is {signed(found.difference)}, and an episode of the first beats one of the "
        f"second with probability {chances.estimate:.2f} [{chances.low:.2f}, {chances.high:.2f}]."
    )
    lines = [head[:1].upper() + head[1:], apart]
    if found.finding == "same":
        cheap = min((first, second), key=lambda side: side.cpu_seconds)
        lines.append(
            f"The cheaper is that of {cheap.run}: trained in {cheap.cpu_seconds:.0f} CPU seconds "
            f"({first.run} {first.cpu_seconds:.0f}, {second.run} {second.cpu_seconds:.0f})."
        )
    if found.world:
        lines.append(
            f"They live in different worlds ({', '.join(found.world)}), so their returns are not "
            "those of one task."
        )
    return lines


def comparison_data(found: Comparison) -> dict[str, Any]:
    """Return the comparison as JSON holds it."""
    sides = [
        {
            "run": side.run,
            "number": side.number,
            "iqm": interval_data(side.score),
            "deliveries": side.deliveries,
            "cpu_seconds": side.cpu_seconds,
        }
        for side in (found.first, found.second)
    ]
    return {
        "first": sides[0],
        "second": sides[1],
        "first_is": found.finding,
        "difference": interval_data(found.difference),
        "probability_of_improvement": interval_data(found.improvement),
        "settings": {name: list(values) for name, values in found.settings.items()},
        "worlds_differ_in": found.world,
        "seeds": found.seeds,
        "episodes_per_seed": found.episodes,
        "words": comparison_lines(found),
    }


def _replayed(study: Study, number: int, stage: Stage, say: Say) -> pd.DataFrame:
    say(f"replaying trial {number} of {study.spec.name} on {stage.seeds} held-out seeds")
    return replay_checkpoint(trained_checkpoint(study, number), number, stage)


def _side(study: Study, number: int, table: pd.DataFrame) -> Side:
    trial = next(trial for trial in study.trials() if trial.number == number)
    return Side(
        run=str(study.directory.path),
        number=number,
        score=bootstrap_interval(by_seed(table), rng=_rng(), resamples=RESAMPLES),
        deliveries=float(table["deliveries"].mean()),
        cpu_seconds=trial.last.cpu_seconds if trial.last else 0.0,
        settings=study.spec.experiment.with_settings(trial.settings).flat(),
    )


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)
