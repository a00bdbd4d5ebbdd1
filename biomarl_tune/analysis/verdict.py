"""The verdict: which settings to take, whether they are better than the defaults, how sure that is.

Two checkpoints are called different only where their 95 % intervals do not overlap, which errs on
the side of caution. Of those that cannot be told from the leader, the cheapest wins; where the
leader is better than the defaults, the cheapest that is better, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from biomarl_tune.analysis.contenders import (
    DEFAULTS,
    RANDOM,
    RESAMPLES,
    Contender,
    contenders_of,
    returns_by_number,
)
from biomarl_tune.analysis.statistics import Interval, overlap, paired_difference
from biomarl_tune.search.study import Study

Finding = Literal["better", "same", "worse"]

_CHEAPER = 0.9  # costs that differ by less are the same: processor time is noisy too


@dataclass(frozen=True)
class Verdict:
    """The end of a search."""

    winner: Contender  # the cheapest of those that are as good as the leader
    leader: Contender  # the trial with the highest score
    tied: tuple[Contender, ...]  # trials that cannot be told from the leader, without it
    finding: Finding  # what the winner is, compared with the defaults
    contenders: tuple[Contender, ...]  # the best first; the defaults and the random policy last
    settings: dict[str, Any]  # the winner's, as searched
    default_settings: dict[str, Any]  # the same settings' fixed or default values
    difference: Interval  # the winner's score minus the defaults', on the same seeds
    metric: str
    trials: int
    seeds: int
    episodes: int

    @property
    def improvement(self) -> Interval:
        """P(an episode of the winner returns more than one of the defaults)."""
        return self.winner.improvement

    @property
    def optimism_gap(self) -> Interval | None:
        """The search's score of the winner minus its held-out mean, with its interval."""
        value, held_out = self.winner.search_value, self.winner.mean
        if self.metric != "episode_return_mean" or value is None:
            return None
        return Interval(value - held_out.estimate, value - held_out.high, value - held_out.low)

    def named(self, number: int) -> Contender:
        """Return the contender of a number."""
        return next(c for c in self.contenders if c.number == number)


def verdict_of(study: Study, evaluation: pd.DataFrame) -> Verdict:
    """Compare what was replayed.

    Args:
        study: the record.
        evaluation: as ``evaluate_study`` returns it.
    """
    trials = study.trials()
    metric, seed = study.spec.objective[0].metric, study.spec.seed
    contenders = contenders_of(evaluation, trials, metric=metric, seed=seed)
    leader, tied = tied_with_leader(contenders)
    defaults = next(c for c in contenders if c.number == DEFAULTS)
    winner = cheapest(leader, as_good(leader, tied, defaults))
    returns = returns_by_number(evaluation)
    base = study.spec.experiment.flat()
    settings = next(trial.settings for trial in trials if trial.number == winner.number)
    return Verdict(
        winner=winner,
        leader=leader,
        tied=tied,
        finding=compare(winner.score, defaults.score),
        contenders=contenders,
        settings=settings,
        default_settings={name: base[name] for name in settings},
        difference=paired_difference(
            returns[winner.number],
            returns[DEFAULTS],
            rng=np.random.default_rng(seed),
            resamples=RESAMPLES,
        ),
        metric=metric,
        trials=len(trials),
        seeds=evaluation["seed"].nunique(),
        episodes=int(evaluation["episode"].max()) + 1,
    )


def tied_with_leader(contenders: tuple[Contender, ...]) -> tuple[Contender, tuple[Contender, ...]]:
    """Return the trial with the highest score, and those that cannot be told from it."""
    searched = sorted((c for c in contenders if c.number >= 0), key=lambda c: -c.score.estimate)
    leader, *others = searched
    return leader, tuple(c for c in others if overlap(leader.score, c.score))


def as_good(
    leader: Contender, tied: tuple[Contender, ...], defaults: Contender
) -> tuple[Contender, ...]:
    """Return those tied with the leader that are better than the defaults, if the leader is."""
    if compare(leader.score, defaults.score) != "better":
        return tied
    return tuple(c for c in tied if compare(c.score, defaults.score) == "better")


def cheapest(leader: Contender, tied: tuple[Contender, ...]) -> Contender:
    """Return which to take: the leader, unless one that is as good cost clearly less."""
    return min(
        (leader, *tied),
        key=lambda c: math.inf if c.cpu_seconds is None else _rounded_cost(c, leader),
    )


def _rounded_cost(contender: Contender, leader: Contender) -> float:
    """Return a cost in which what is about as dear as the leader counts as just as dear."""
    cost, reference = contender.cpu_seconds or 0.0, leader.cpu_seconds or 0.0
    return cost if cost < _CHEAPER * reference else max(cost, reference)


def compare(score: Interval, other: Interval) -> Finding:
    """Return what a score is next to another: better, worse, or not distinguishable."""
    if overlap(score, other):
        return "same"
    return "better" if score.estimate > other.estimate else "worse"


def verdict_lines(verdict: Verdict) -> list[str]:
    """Say the verdict in words, one sentence or two a line."""
    winner, improvement = verdict.winner, verdict.improvement
    pairs = (
        f"{name} = {_shown(value)} (default {_shown(verdict.default_settings[name])})"
        for name, value in verdict.settings.items()
    )
    units = (
        f"Scores are interquartile means of the colony's return with 95 % intervals, over "
        f"{verdict.seeds} held-out seeds, {verdict.seeds * verdict.episodes} episodes."
    )
    lines = [
        _headline(verdict),
        units,
        *_tie_lines(verdict),
        f"Settings of {winner.name}: {'; '.join(pairs) or 'the defaults'}.",
    ]
    if verdict.settings != verdict.default_settings:
        lines.append(
            f"On the same seeds it is {signed(verdict.difference)} against the defaults, and an "
            f"episode of it beats one of theirs with probability {improvement.estimate:.2f} "
            f"[{improvement.low:.2f}, {improvement.high:.2f}]."
        )
    lines.append(_against_random(verdict))
    gap = verdict.optimism_gap
    if gap is not None:
        lines.append(
            f"Optimism gap: the search scored it {winner.search_value:.1f}, its held-out mean is "
            f"{winner.mean.estimate:.1f}: {signed(gap)}."
        )
    pruned = [c.name for c in verdict.contenders if c.state == "PRUNED"]
    if pruned:
        lines.append(
            f"Too few trials were completed, so {', '.join(pruned)}, stopped early, joined."
        )
    return lines


def _headline(verdict: Verdict) -> str:
    winner, defaults = verdict.winner, verdict.named(DEFAULTS)
    mine = f"returns {shown_score(winner.score)} and makes {winner.deliveries:.0f} deliveries"
    theirs = f"the defaults {shown_score(defaults.score)} and {defaults.deliveries:.0f}"
    if verdict.settings == verdict.default_settings:
        return f"The defaults themselves come first: {winner.name}, which ran them, {mine}."
    name = _capital(winner.name)
    if verdict.finding == "better":
        return f"{name} is better than the defaults: it {mine}, {theirs}."
    if verdict.finding == "worse":
        return f"Nothing found is better than the defaults: {winner.name} {mine}, {theirs}."
    return (
        f"{name} is not distinguishable from the defaults: it {mine}, {theirs}; the "
        f"intervals overlap, so keep the defaults or evaluate on more seeds than {verdict.seeds}."
    )


def _tie_lines(verdict: Verdict) -> list[str]:
    winner, name = verdict.winner, _capital(verdict.winner.name)
    others = [c for c in (verdict.leader, *verdict.tied) if c.number != winner.number]
    rest = [c for c in verdict.contenders if c.number >= 0 and c.number != winner.number]
    if not rest:
        return []
    if not others:
        beaten = ", ".join(f"{c.name} {shown_score(c.score)}" for c in rest)
        return [f"{name} is better than the other trials replayed: {beaten}."]
    listed = ", ".join(
        f"{c.name}, {shown_score(c.score)} for {_cost(c)} CPU seconds" for c in others
    )
    why = "none was clearly cheaper"
    if winner.number != verdict.leader.number:
        why = "it cost clearly less"
    elif cheapest(verdict.leader, verdict.tied).number != winner.number:
        why = "what cost less is not distinguishable from the defaults"
    told = (
        f"{name} is not distinguishable from {listed}; {winner.name}, {_cost(winner)} CPU "
        f"seconds, is preferred because {why}."
    )
    return [told]


def _against_random(verdict: Verdict) -> str:
    winner, random = verdict.winner, verdict.named(RANDOM)
    found = compare(winner.score, random.score)
    word = "not distinguishable from" if found == "same" else f"{found} than"
    return f"It is {word} a random policy, which returns {shown_score(random.score)}."


def as_data(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict as JSON holds it; a bound that is not finite is None."""
    contenders = [
        {
            "number": c.number,
            "name": c.name,
            "iqm": c.score.estimate,
            "low": _finite(c.score.low),
            "high": _finite(c.score.high),
            "median": interval_data(c.median),
            "mean": interval_data(c.mean),
            "probability_of_improvement": interval_data(c.improvement),
            "deliveries": c.deliveries,
            "search_value": c.search_value,
            "cpu_seconds": c.cpu_seconds,
            "state": c.state,
        }
        for c in verdict.contenders
    ]
    gap = verdict.optimism_gap
    return {
        "winner": verdict.winner.number,
        "against_defaults": verdict.finding,
        "leader": verdict.leader.number,
        "not_distinguishable": [c.number for c in verdict.tied],
        "words": verdict_lines(verdict),
        "settings": verdict.settings,
        "contenders": contenders,
        "difference_to_defaults": interval_data(verdict.difference),
        "probability_of_improvement": interval_data(verdict.improvement),
        "optimism_gap": None if gap is None else gap.estimate,
        "optimism_gap_interval": None if gap is None else interval_data(gap),
        "seeds": verdict.seeds,
        "episodes_per_seed": verdict.episodes,
    }


def interval_data(interval: Interval) -> dict[str, float | None]:
    """Return an interval as JSON holds it; a bound that is not finite is None."""
    return {name: _finite(number) for name, number in interval._asdict().items()}


def shown_score(score: Interval) -> str:
    """Return a score as people read it: estimate and interval to one digit."""
    if not math.isfinite(score.low):
        return f"{score.estimate:.1f} [one seed, no interval]"
    return f"{score.estimate:.1f} [{score.low:.1f}, {score.high:.1f}]"


def signed(difference: Interval) -> str:
    """Return a difference as people read it, with its sign."""
    if not math.isfinite(difference.low):
        return f"{difference.estimate:+.1f} [one seed, no interval]"
    return f"{difference.estimate:+.1f} [{difference.low:+.1f}, {difference.high:+.1f}]"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _cost(contender: Contender) -> str:
    return "unknown" if contender.cpu_seconds is None else f"{contender.cpu_seconds:.0f}"


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
