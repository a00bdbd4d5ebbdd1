"""The stopping rules, as pure functions of what the trials have reported."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from biomarl_tune.search.sections import Stopping

Mode = Literal["max", "min"]
# objective by trial number and iteration; non-finite values are not in it
Curves = Mapping[int, Mapping[int, float]]

MIN_OTHERS = 3
_AUDIT = 1_000  # keeps the draw apart from those of the proposals


@dataclass(frozen=True)
class Decision:
    """What becomes of a trial after a report, and why in words."""

    action: Literal["continue", "stop"]
    reason: str = ""


GO_ON = Decision("continue")


def rung_levels(stopping: Stopping) -> tuple[int, ...]:
    """Return the iterations at which ASHA decides: grace * reduction^k below the maximum."""
    if stopping.scheduler != "asha":
        return ()
    levels = []
    level = stopping.grace_iterations
    while level < stopping.max_iterations:
        levels.append(level)
        level *= stopping.reduction
    return tuple(levels)


def decide(curves: Curves, number: int, iteration: int, stopping: Stopping, mode: Mode) -> Decision:
    """Decide whether a trial goes on after its report of an iteration.

    The rule sees the reports that are there at that moment and never takes a decision back.
    Reaching `max_iterations` is no stop: such a trial is complete.

    Args:
        curves: the objective of every trial, this one's report included.
        number: of the trial.
        iteration: just reported.
        stopping: the rule and its numbers.
        mode: of the objective.
    """
    value = curves.get(number, {}).get(iteration, math.nan)
    if not math.isfinite(value) or iteration >= stopping.max_iterations:
        return GO_ON
    if stopping.scheduler == "asha" and iteration in rung_levels(stopping):
        return _asha(rung(curves, iteration), number, iteration, stopping.reduction, mode)
    if stopping.scheduler == "median" and iteration >= stopping.grace_iterations:
        return _median(curves, number, iteration, mode)
    return GO_ON


def runs_on(stopping: Stopping, seed: int, number: int) -> bool:
    """Tell whether a trial, should it be condemned, runs on as a sample of those that are.

    Args:
        stopping: its `audit` is the share of such trials.
        seed: of the search.
        number: of the trial.
    """
    return bool(np.random.default_rng((seed, number, _AUDIT)).random() < stopping.audit)


def as_judged(curves: Curves, condemned: Mapping[int, int]) -> Curves:
    """Return the curves that the rule may see: without what condemned trials did afterwards.

    Args:
        curves: the objective of every trial.
        condemned: the iteration at which a trial was condemned, by number.
    """
    if not condemned:
        return curves
    ends = {number: condemned.get(number, math.inf) for number in curves}
    return {
        number: {step: value for step, value in curve.items() if step <= ends[number]}
        for number, curve in curves.items()
    }


def rung(curves: Curves, level: int) -> dict[int, float]:
    """Return the values that have reached a level, by trial number."""
    return {number: curve[level] for number, curve in curves.items() if level in curve}


def rungs(curves: Curves, stopping: Stopping) -> dict[int, dict[int, float]]:
    """Return what has reached each of ASHA's levels."""
    return {level: rung(curves, level) for level in rung_levels(stopping)}


def curves_of(values: Iterable[tuple[int, int, float]]) -> dict[int, dict[int, float]]:
    """Gather (number, iteration, value) into curves; a non-finite value is left out."""
    curves: dict[int, dict[int, float]] = {}
    for number, iteration, value in values:
        if math.isfinite(value):
            curves.setdefault(number, {})[iteration] = value
    return curves


def _asha(
    reached: Mapping[int, float], number: int, level: int, reduction: int, mode: Mode
) -> Decision:
    """Go on in the top 1/reduction of what has reached the rung (Li et al. 2020, algorithm 2).

    As in Ray's version nobody waits: each trial is judged when it arrives. With fewer than
    `reduction` values the top 1/reduction is empty and everyone goes on; a tie with the last
    place that goes on does so too.
    """
    places = len(reached) // reduction
    if places == 0:
        return GO_ON
    value = reached[number]
    better = sum(_beats(other, value, mode) for other in reached.values())
    if better < places:
        return GO_ON
    rank = f"{value:.4g} at iteration {level} is {better + 1} of {len(reached)}"
    best = "best goes" if places == 1 else f"best {places} go"
    return Decision("stop", f"asha: {rank}, the {best} on")


def _median(curves: Curves, number: int, iteration: int, mode: Mode) -> Decision:
    """Stop when the best value so far is worse than the median of the others' running averages.

    Golovin et al. 2017, section 3.2.1; judged against trials that have come as far, and only
    when there are at least three.
    """
    others = [
        statistics.fmean(value for step, value in curve.items() if step <= iteration)
        for other, curve in curves.items()
        if other != number and iteration in curve
    ]
    if len(others) < MIN_OTHERS:
        return GO_ON
    mine = [value for step, value in curves[number].items() if step <= iteration]
    best = max(mine) if mode == "max" else min(mine)
    median = statistics.median(others)
    if not _beats(median, best, mode):
        return GO_ON
    worse = f"best value {best:.4g} by iteration {iteration} is worse than {median:.4g}"
    return Decision("stop", f"median: {worse}, the median of {len(others)} trials")


def _beats(first: float, second: float, mode: Mode) -> bool:
    return first > second if mode == "max" else first < second
