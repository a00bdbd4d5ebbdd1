"""Several training seeds a trial: which stage runs how many, and who is dropped after it.

A rung adds seeds as well as iterations. All trials train with the same seeds, so two of them can
be compared seed by seed: what a seed does to both cancels.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from scipy.special import stdtrit

from biomarl_tune.search.rungs import GO_ON, Decision, Mode, rung_levels
from biomarl_tune.search.sections import Stopping

CONFIDENCE = 0.8  # one-sided, of a comparison over two or more seeds

# objective by trial number, index of the training seed and iteration
Values = Mapping[int, Mapping[int, Mapping[int, float]]]


@dataclass(frozen=True)
class Stage:
    """So many training seeds, each brought to an iteration."""

    level: int
    seeds: int


def stages(stopping: Stopping, seeds: int) -> tuple[Stage, ...]:
    """Return the stages of a trial: one a rung and one at the end, the last with all seeds.

    A trial of a single seed has none.
    """
    if seeds == 1:
        return ()
    levels = (*rung_levels(stopping), stopping.max_iterations)
    return tuple(
        Stage(level, math.ceil(seeds * (index + 1) / len(levels)))
        for index, level in enumerate(levels)
    )


def finished_stage(
    plan: tuple[Stage, ...], done: Mapping[int, int], lost: Collection[int]
) -> Stage | None:
    """Return the stage that a trial has just finished; None while it is under way in one.

    Args:
        plan: the stages.
        done: the last iteration of each seed.
        lost: the seeds whose training crashed; a trial of which nothing is left finishes nothing.
    """
    living = {seed: iteration for seed, iteration in done.items() if seed not in lost}
    if not living:
        return None
    for stage in plan:
        due = [living.get(seed, 0) for seed in range(stage.seeds) if seed not in lost]
        if {*due, *living.values()} == {stage.level}:
            return stage
    return None


def survives(plan: tuple[Stage, ...], done: Mapping[int, int], lost: Collection[int]) -> bool:
    """Tell whether a trial has a seed left in the stage that it is in.

    Args:
        plan: the stages; without any, there is but one seed, and it is lost.
        done: the last iteration of each seed.
        lost: the seeds whose training crashed.
    """
    for stage in plan:
        left = [seed for seed in range(stage.seeds) if seed not in lost]
        if not left or any(done.get(seed, 0) < stage.level for seed in left):
            return bool(left)
    return bool(plan)


def field_of(
    values: Values, stage: Stage, lost: Mapping[int, Collection[int]], mode: Mode
) -> dict[int, dict[int, float]]:
    """Return the objective of each trial and seed at a stage, of the trials that finished it.

    A crashed seed counts as the worst value that any trial had at that iteration: settings that
    crash now and then are not better for it.

    Args:
        values: of every trial.
        stage: the one at whose end they are compared.
        lost: the seeds of each trial whose training crashed.
        mode: of the objective.
    """
    level = stage.level
    seen = [curve[level] for seeds in values.values() for curve in seeds.values() if level in curve]
    if not seen:
        return {}
    worst = min(seen) if mode == "max" else max(seen)
    found = {}
    for number, seeds in values.items():
        row = {
            seed: seeds[seed][level] if level in seeds.get(seed, {}) else worst
            for seed in range(stage.seeds)
            if level in seeds.get(seed, {}) or seed in lost.get(number, ())
        }
        if len(row) == stage.seeds:
            found[number] = row
    return found


def race(
    field: Mapping[int, Mapping[int, float]], number: int, stage: Stage, reduction: int, mode: Mode
) -> Decision:
    """Drop a trial when as many others as may go on beat it in a paired comparison.

    Like ASHA, nobody waits: each trial is judged when it arrives, and with fewer than `reduction`
    trials everyone goes on. Unlike ASHA, a trial that is behind by no more than the seeds' noise
    goes on too.

    Args:
        field: the objective by trial and seed; this trial's included.
        number: of the trial.
        stage: just finished.
        reduction: the best 1/reduction may go on.
        mode: of the objective.
    """
    places = len(field) // reduction
    if places == 0:
        return GO_ON
    better = sum(beats(other, field[number], mode) for n, other in field.items() if n != number)
    if better < places:
        return GO_ON
    mean = statistics.fmean(field[number].values())
    return Decision(
        "stop",
        f"asha: {mean:.6g} at iteration {stage.level} over {stage.seeds} seeds is beaten by "
        f"{better} of {len(field)} trials in paired comparisons, {places} may go on",
    )


def beats(first: Mapping[int, float], second: Mapping[int, float], mode: Mode) -> bool:
    """Tell whether the first is better on the seeds that both share.

    Over one seed the larger value is; over more, a one-sided paired t-test at 80 % has to say so.
    """
    sign = 1.0 if mode == "max" else -1.0
    gains = [sign * (first[seed] - second[seed]) for seed in first.keys() & second.keys()]
    mean = statistics.fmean(gains)
    if len(gains) == 1:
        return mean > 0
    error = statistics.stdev(gains) / math.sqrt(len(gains))
    return mean > float(stdtrit(len(gains) - 1, CONFIDENCE)) * error
