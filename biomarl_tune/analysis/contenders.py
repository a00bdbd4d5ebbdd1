"""What every replayed checkpoint did on the held-out seeds: averages, intervals, comparisons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from biomarl_tune.analysis.statistics import (
    Floats,
    Interval,
    bootstrap_interval,
    interquartile_mean,
    mean,
    median,
    probability_of_improvement,
)
from biomarl_tune.search.trial import Trial

DEFAULTS, RANDOM = -1, -2  # in place of a trial's number
NAMES = {DEFAULTS: "defaults", RANDOM: "random policy"}
RESAMPLES = 5000


@dataclass(frozen=True)
class Contender:
    """What one checkpoint returned on the held-out seeds; intervals are 95 % bootstrap ones."""

    number: int  # of the trial, -1 the defaults, -2 a random policy
    score: Interval  # interquartile mean of the colony's return
    median: Interval  # of the same
    mean: Interval
    improvement: Interval  # P(an episode of it returns more than one of the defaults)
    deliveries: float  # per episode, mean
    search_value: float | None  # the objective that the search saw; None outside the study
    cpu_seconds: float | None  # spent on training it; None outside the study
    state: str  # of the trial; empty outside the study

    @property
    def name(self) -> str:
        """What people call it."""
        return contender_name(self.number)


def contender_name(number: int) -> str:
    """Return what a trial's number, or -1 or -2 in its place, stands for."""
    return NAMES.get(number, f"trial {number}")


def contenders_of(
    evaluation: pd.DataFrame, trials: list[Trial], *, metric: str, seed: int
) -> tuple[Contender, ...]:
    """Summarise what was replayed: the trials, the best first, the defaults, the random policy.

    Args:
        evaluation: one row an episode; the defaults (-1) are among the numbers.
        trials: of the search.
        metric: the first objective.
        seed: of the bootstrap.
    """
    returns = returns_by_number(evaluation)
    by_number = {trial.number: trial for trial in trials}
    found = []
    for number, values in returns.items():
        trial = by_number.get(number)
        last = trial.last if trial is not None else None
        score, middle, average = (
            bootstrap_interval(
                values, statistic, rng=np.random.default_rng(seed), resamples=RESAMPLES
            )
            for statistic in (interquartile_mean, median, mean)
        )
        rows = evaluation[evaluation["number"] == number]
        found.append(
            Contender(
                number=number,
                score=score,
                median=middle,
                mean=average,
                improvement=probability_of_improvement(values, returns[DEFAULTS], paired=True),
                deliveries=float(rows["deliveries"].mean()),
                search_value=None if last is None else last.value(metric),
                cpu_seconds=None if last is None else last.cpu_seconds,
                state="" if trial is None else trial.state,
            )
        )
    searched = sorted((c for c in found if c.number >= 0), key=lambda c: -c.score.estimate)
    references = sorted((c for c in found if c.number < 0), key=lambda c: -c.number)
    return (*searched, *references)


def returns_by_number(evaluation: pd.DataFrame) -> dict[int, Floats]:
    """Return the returns [S, K] of each replayed checkpoint by its number."""
    return {int(number): by_seed(rows) for number, rows in evaluation.groupby("number")}


def by_seed(rows: pd.DataFrame) -> Floats:
    """Return the returns [S, K] of one checkpoint."""
    table = rows.pivot_table(index="seed", columns="episode", values="return")
    return np.asarray(table.to_numpy(), dtype=np.float64)


def summary_table(contenders: tuple[Contender, ...]) -> pd.DataFrame:
    """Return one row a contender: averages with bounds, P(improvement), deliveries, cost."""
    rows = []
    for c in contenders:
        row = {"number": c.number, "name": c.name, "state": c.state}
        for name, interval in (("iqm", c.score), ("median", c.median), ("mean", c.mean)):
            row |= {
                name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high,
            }  # fmt: skip
        row |= {
            "beats_defaults": c.improvement.estimate,
            "beats_defaults_low": c.improvement.low,
            "beats_defaults_high": c.improvement.high,
            "deliveries": c.deliveries,
            "search_value": c.search_value,
            "cpu_seconds": c.cpu_seconds,
        }
        rows.append(row)
    return pd.DataFrame(rows).astype({"search_value": "float64", "cpu_seconds": "float64"})
