from __future__ import annotations

import math

import pytest

from biomarl_tune.search.rungs import curves_of, decide, rung_levels, rungs
from biomarl_tune.search.sections import Stopping

ASHA = Stopping(scheduler="asha", max_iterations=10, grace_iterations=1, reduction=3)
MEDIAN = Stopping(scheduler="median", max_iterations=10, grace_iterations=2, reduction=3)


def _at(level, *values):
    return {number: {level: value} for number, value in enumerate(values)}


@pytest.mark.parametrize(
    ("grace", "reduction", "longest", "levels"),
    [(5, 3, 40, (5, 15)), (5, 3, 45, (5, 15)), (1, 2, 9, (1, 2, 4, 8)), (4, 3, 4, ())],
)
def test_levels_are_below_the_maximum(grace, reduction, longest, levels):
    """Rungs stand at grace * reduction^k, and none at the end itself."""
    stopping = Stopping(max_iterations=longest, grace_iterations=grace, reduction=reduction)

    assert rung_levels(stopping) == levels


def test_other_rules_have_no_levels():
    """Median and none decide without rungs."""
    assert rung_levels(MEDIAN) == rung_levels(Stopping(scheduler="none")) == ()


@pytest.mark.parametrize(
    ("values", "action"),
    [
        ((1.0,), "continue"),
        ((2.0, 1.0), "continue"),
        ((3.0, 2.0, 1.0), "stop"),
        ((2.0, 1.0, 3.0), "continue"),
        ((5.0, 4.0, 3.0, 2.0, 1.0, 4.5), "continue"),
        ((5.0, 4.0, 3.0, 2.0, 1.0, 3.5), "stop"),
        ((1.0, 1.0, 1.0), "continue"),
    ],
)
def test_asha_keeps_the_top_third(values, action):
    """The newest of n values goes on among the best n // 3; fewer than 3 values stop nobody."""
    assert decide(_at(1, *values), len(values) - 1, 1, ASHA, "max").action == action


def test_asha_can_minimise():
    """With mode min the smallest values go on."""
    assert decide(_at(1, 1.0, 2.0, 3.0), 2, 1, ASHA, "min").action == "stop"
    assert decide(_at(1, 3.0, 2.0, 1.0), 2, 1, ASHA, "min").action == "continue"


def test_asha_says_why():
    """The reason names value, iteration, rank and how many go on."""
    decision = decide(_at(3, 3.0, 2.0, 1.5), 2, 3, ASHA, "max")

    assert decision.reason == "asha: 1.5 at iteration 3 is 3 of 3, the best goes on"


def test_asha_decides_at_its_levels_only():
    """Between rungs, and at the maximum, even the worst trial goes on."""
    assert decide(_at(2, 3.0, 2.0, 1.0), 2, 2, ASHA, "max").action == "continue"
    assert decide(_at(10, 3.0, 2.0, 1.0), 2, 10, ASHA, "max").action == "continue"


def test_non_finite_values_enter_no_rung():
    """NaN and infinities neither stop others nor count among them."""
    curves = curves_of([(0, 1, math.nan), (1, 1, math.inf), (2, 1, 2.0), (3, 1, 1.0)])

    assert rungs(curves, ASHA)[1] == {2: 2.0, 3: 1.0}
    assert decide(curves, 3, 1, ASHA, "max").action == "continue"


def test_median_compares_best_with_running_averages():
    """Averages 2, 3 and 4 by iteration 2: a best of 2.9 stops, 3.0 does not (hand-computed)."""
    others = {0: {1: 1.0, 2: 3.0}, 1: {1: 2.0, 2: 4.0}, 2: {1: 3.0, 2: 5.0, 3: 99.0}}

    below = decide({**others, 3: {1: 2.9, 2: 0.0}}, 3, 2, MEDIAN, "max")
    level = decide({**others, 3: {1: 3.0, 2: 0.0}}, 3, 2, MEDIAN, "max")

    assert (below.action, level.action) == ("stop", "continue")
    assert below.reason.startswith("median: best value 2.9 by iteration 2 is worse than 3")


def test_median_needs_three_others_and_grace():
    """Two others are too few, and before the grace nothing stops."""
    few = {0: {2: 9.0}, 1: {2: 9.0}, 3: {2: 0.0}}
    early = {number: {1: 9.0} for number in range(3)} | {3: {1: 0.0}}

    assert decide(few, 3, 2, MEDIAN, "max").action == "continue"
    assert decide(early, 3, 1, MEDIAN, "max").action == "continue"


def test_none_never_stops():
    """Without a rule every trial runs to its end."""
    none = Stopping(scheduler="none", max_iterations=10)

    assert decide(_at(5, 3.0, 2.0, 1.0), 2, 5, none, "max").action == "continue"
