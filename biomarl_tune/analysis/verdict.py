"""The verdict: which settings won, by how much, and how far the search's score can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from biomarl_tune.analysis.evaluation import DEFAULTS, RANDOM
from biomarl_tune.analysis.statistics import (
    Interval,
    bootstrap_interval,
    overlap,
    probability_of_improvement,
)
from biomarl_tune.search.study import Study

_RESAMPLES = 5000


@dataclass(frozen=True)
class Contender:
    """What one checkpoint returned on the held-out seeds."""

    number: int  # of the trial, -1 the defaults, -2 a random policy
    score: Interval  # interquartile mean of the colony's return, 95 % bootstrap interval
    deliveries: float  # per episode, mean
    search_value: float | None  # the objective that the search saw; None outside the study
    state: str  # of the trial; empty outside the study

    @property
    def name(self) -> str:
        """What people call it."""
        named = {DEFAULTS: "defaults", RANDOM: "random policy"}
        return named.get(self.number, f"trial {self.number}")


@dataclass(frozen=True)
class Verdict:
    """The end of a search."""

    winner: Contender
    contenders: tuple[Contender, ...]  # the best first; the defaults and the random policy last
    settings: dict[str, Any]  # the winner's, as searched
    default_settings: dict[str, Any]  # the same settings' fixed or default values
    improvement: Interval  # P(the winner's episode returns more than the defaults')
    metric: str
    trials: int
    seeds: int
    episodes: int

    @property
    def optimism_gap(self) -> float | None:
        """The search's score of the winner minus its held-out score."""
        if self.metric != "episode_return_mean" or self.winner.search_value is None:
            return None
        return self.winner.search_value - self.winner.score.estimate


def verdict_of(study: Study, evaluation: pd.DataFrame) -> Verdict:
    """Compare what was replayed.

    Args:
        study: the record.
        evaluation: as ``evaluate_study`` returns it.
    """
    rng = np.random.default_rng(study.spec.seed)
    trials = {trial.number: trial for trial in study.trials()}
    metric = study.spec.objective[0].metric
    found = []
    for number, rows in evaluation.groupby("number"):
        trial = trials.get(int(number))
        value = trial.last.value(metric) if trial is not None and trial.last is not None else None
        found.append(
            Contender(
                number=int(number),
                score=bootstrap_interval(_by_seed(rows), rng=rng, resamples=_RESAMPLES),
                deliveries=float(rows["deliveries"].mean()),
                search_value=value,
                state="" if trial is None else trial.state,
            )
        )
    searched = sorted((c for c in found if c.number >= 0), key=lambda c: -c.score.estimate)
    references = sorted((c for c in found if c.number < 0), key=lambda c: -c.number)
    winner = searched[0]
    base = study.spec.experiment.flat()
    settings = trials[winner.number].settings
    returns = {number: _by_seed(rows) for number, rows in evaluation.groupby("number")}
    return Verdict(
        winner=winner,
        contenders=(*searched, *references),
        settings=settings,
        default_settings={name: base[name] for name in settings},
        improvement=probability_of_improvement(
            returns[winner.number], returns[DEFAULTS], paired=True
        ),
        metric=metric,
        trials=len(trials),
        seeds=evaluation["seed"].nunique(),
        episodes=int(evaluation["episode"].max()) + 1,
    )


def verdict_lines(verdict: Verdict) -> list[str]:
    """Say the verdict in words, one sentence a line."""
    winner = verdict.winner
    defaults, random = (
        next(c for c in verdict.contenders if c.number == number) for number in (DEFAULTS, RANDOM)
    )
    pairs = (
        f"{name} = {_shown(value)} (default {_shown(verdict.default_settings[name])})"
        for name, value in verdict.settings.items()
    )
    lines = [
        (
            f"{winner.name} wins: it returns {_score(winner.score)} a colony and episode "
            f"(interquartile mean, 95 % interval; held-out: {verdict.seeds} seeds, "
            f"{verdict.seeds * verdict.episodes} episodes) "
            f"and makes {winner.deliveries:.0f} deliveries."
        ),
        f"Its settings: {'; '.join(pairs) or 'the defaults'}.",
        _compared(winner, defaults) + f" An episode of it beats one of theirs with probability "
        f"{verdict.improvement.estimate:.2f} "
        f"[{verdict.improvement.low:.2f}, {verdict.improvement.high:.2f}].",
        _compared(winner, random),
    ]
    if verdict.optimism_gap is not None:
        lines.append(
            f"Optimism gap: the search scored it {winner.search_value:.1f}, "
            f"{verdict.optimism_gap:+.1f} against the held-out score."
        )
    pruned = [c.name for c in verdict.contenders if c.state == "PRUNED"]
    if pruned:
        lines.append(
            f"Too few trials were completed, so {', '.join(pruned)}, stopped early, joined."
        )
    return lines


def as_data(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict as JSON holds it; a bound that is not finite is None."""
    contenders = [
        {
            "number": c.number,
            "name": c.name,
            "iqm": c.score.estimate,
            "low": _finite(c.score.low),
            "high": _finite(c.score.high),
            "deliveries": c.deliveries,
            "search_value": c.search_value,
            "state": c.state,
        }
        for c in verdict.contenders
    ]
    return {
        "winner": verdict.winner.number,
        "settings": verdict.settings,
        "contenders": contenders,
        "probability_of_improvement": verdict.improvement._asdict(),
        "optimism_gap": verdict.optimism_gap,
        "seeds": verdict.seeds,
        "episodes_per_seed": verdict.episodes,
    }


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _compared(winner: Contender, other: Contender) -> str:
    difference = winner.score.estimate - other.score.estimate
    if overlap(winner.score, other.score):
        return (
            f"It is not distinguishable from the {other.name}, {_score(other.score)}: "
            f"the intervals overlap."
        )
    better = "better" if difference > 0 else "worse"
    return (
        f"It is {better} than the {other.name}, {_score(other.score)}, by {abs(difference):.1f}; "
        "the intervals do not overlap."
    )


def _by_seed(rows: pd.DataFrame) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the returns [S, K] of one checkpoint."""
    table = rows.pivot_table(index="seed", columns="episode", values="return")
    return np.asarray(table.to_numpy(), dtype=np.float64)


def _score(score: Interval) -> str:
    return f"{score.estimate:.1f} [{score.low:.1f}, {score.high:.1f}]"


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
