"""Statistics against numbers worked out by hand, published ones, and simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from biomarl_tune.analysis.statistics import (
    Interval,
    bootstrap_interval,
    interquartile_mean,
    mean,
    median,
    overlap,
    paired_difference,
    performance_profile,
    probability_of_improvement,
)

CASES = 2000


@pytest.fixture
def rng():
    """A generator whose seed is fixed."""
    return np.random.default_rng(0)


def test_interquartile_mean_of_the_textbook_example():
    """Of twelve values the outer three on either side are left out, and 6.5 remains."""
    values = np.array([5, 8, 4, 38, 8, 6, 9, 7, 7, 3, 1, 6.0])

    # en.wikipedia.org/wiki/Interquartile_mean
    assert interquartile_mean(values) == pytest.approx(6.5)


def test_statistics_reduce_the_last_axis():
    """Each row has its own average."""
    rows = np.array([[0, 1, 2, 9.0], [4, 4, 8, 100]])

    assert interquartile_mean(rows).tolist() == [1.5, 6.0]
    assert median(rows).tolist() == [1.5, 6.0]
    assert mean(rows).tolist() == [3.0, 29.0]


def test_interval_of_two_seeds_by_hand(rng):
    """Two seeds at 0 and 2: resampled means are 0, 1 or 2, stretched by 12.71 / 1.96 * sqrt(2)."""
    interval = bootstrap_interval([[0.0], [2.0]], mean, rng=rng)

    stretch = 12.7062 / 1.95996 * np.sqrt(2)
    assert interval.estimate == 1.0
    assert interval.low == pytest.approx(1 - stretch, rel=1e-4)
    assert interval.high == pytest.approx(1 + stretch, rel=1e-4)


def test_interval_of_a_mean_agrees_with_student_where_student_holds(rng):
    """For 40 near-normal seeds the stretched bootstrap is Student's t interval within 5 %."""
    seeds = rng.normal(900.0, 50.0, size=(40, 1))

    interval = bootstrap_interval(seeds, mean, rng=rng, resamples=20_000)

    half = stats.t.isf(0.025, 39) * seeds.std(ddof=1) / np.sqrt(40)
    assert interval.estimate == pytest.approx(seeds.mean())
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.05)


def test_seeds_are_drawn_whole(rng):
    """Ten identical episodes a seed tell no more than one."""
    seeds = rng.normal(size=(10, 1))

    once = bootstrap_interval(seeds, mean, rng=np.random.default_rng(1))
    tenfold = bootstrap_interval(np.repeat(seeds, 10, axis=1), mean, rng=np.random.default_rng(1))

    assert tenfold == pytest.approx(once)


def test_one_seed_bounds_nothing(rng):
    """A single seed gives an estimate and an interval without ends."""
    assert bootstrap_interval([[1.0, 3.0]], mean, rng=rng) == (2.0, -np.inf, np.inf)


def test_equal_returns_leave_no_doubt(rng):
    """Where every episode returns the same, the interval is a point."""
    assert bootstrap_interval(np.full((10, 3), 7.0), rng=rng) == (7.0, 7.0, 7.0)


def test_same_generator_same_interval():
    """The interval depends on the returns and the generator alone."""
    returns = np.arange(30.0).reshape(10, 3)

    first, second = (bootstrap_interval(returns, rng=np.random.default_rng(5)) for _ in range(2))

    assert first == second


def _returns(shape: str, cases: int, rng: np.random.Generator):
    """Draw [cases, 10, 3] returns: half of their variance lies between seeds."""
    draw = {"normal": rng.standard_normal, "skewed": lambda size: rng.gumbel(size=size)}[shape]
    return draw((cases, 10, 1)) + draw((cases, 10, 3))


@pytest.mark.parametrize("shape", ["normal", "skewed"])
@pytest.mark.parametrize("statistic", [interquartile_mean, mean])
def test_intervals_hold_the_truth_as_often_as_they_say(shape, statistic, rng):
    """Of 2,000 simulated 95 % intervals over ten seeds, 93 to 97 % hold the true value."""
    draw = {"normal": rng.standard_normal, "skewed": lambda size: rng.gumbel(size=size)}[shape]
    truth = statistic(draw(1_000_000) + draw(1_000_000))

    held = 0
    for returns in _returns(shape, CASES, rng):
        interval = bootstrap_interval(returns, statistic, rng=rng, resamples=500)
        held += interval.low <= truth <= interval.high

    assert 0.93 <= held / CASES <= 0.97


def test_paired_difference_cancels_what_the_seeds_share(rng):
    """Seeds apart by hundreds, settings apart by exactly 10: the paired interval is a point."""
    y = rng.normal(0.0, 500.0, size=(10, 3))

    paired = paired_difference(y + 10.0, y, mean, rng=rng)

    assert paired == pytest.approx((10.0, 10.0, 10.0))


def test_paired_difference_by_hand(rng):
    """The estimate is the difference of the two statistics, over unequal numbers of episodes."""
    x = [[5.0, 7.0], [9.0, 11.0]]
    y = [[1.0], [4.0]]

    assert paired_difference(x, y, mean, rng=rng).estimate == 5.5


def test_paired_intervals_hold_the_truth(rng):
    """Of 2,000 paired intervals with a shared effect of the seeds, 93 to 97 % hold the gap."""
    shared = rng.standard_normal((CASES, 10, 1))
    x, y = (shared + _returns("normal", CASES, rng) for _ in range(2))

    held = 0
    for left, right in zip(x + 0.5, y, strict=True):
        interval = paired_difference(left, right, rng=rng, resamples=400)
        held += interval.low <= 0.5 <= interval.high

    assert 0.93 <= held / CASES <= 0.97


def test_probability_of_improvement_of_the_tortoise_and_the_hare():
    """Six tortoises and six hares finish T H H H H H T T T T T H: the hares win 25 of 36."""
    hares = np.array([[11], [10], [9], [8], [7], [1.0]])
    tortoises = np.array([[12], [6], [5], [4], [3], [2.0]])

    # en.wikipedia.org/wiki/Mann-Whitney_U_test
    found = probability_of_improvement(hares, tortoises, paired=False)

    assert found.estimate == pytest.approx(25 / 36)
    u_statistic = stats.mannwhitneyu(hares.ravel(), tortoises.ravel()).statistic
    assert found.estimate * 36 == pytest.approx(u_statistic)
    assert found.low < 0.5 < found.high


def test_paired_probability_compares_within_seeds_only():
    """Seed 1: x wins 1 of 2; seed 2: x ties and loses. Together 1/2 and 1/4: 3/8."""
    x = [[2.0], [10.0]]
    y = [[1.0, 3.0], [10.0, 11.0]]

    assert probability_of_improvement(x, y, paired=True).estimate == 0.375


def test_ten_wins_of_ten_leave_some_doubt():
    """An interval that ends at 1 still begins at Wilson's bound n / (n + z^2) with z from t(9)."""
    found = probability_of_improvement(np.full((10, 1), 2.0), np.ones((10, 1)), paired=True)

    z = stats.t.isf(0.025, 9)
    assert found == pytest.approx((1.0, 10 / (10 + z**2), 1.0))


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("truth", [0.5, 0.9])
def test_probability_intervals_hold_the_truth(paired, truth, rng):
    """At least 93 % of 2,000 intervals hold the true probability; near 1 they may hold more."""
    lead = stats.norm.ppf(truth) * 2.0  # the difference of two returns has variance 4
    x, y = _returns("normal", CASES, rng) + lead, _returns("normal", CASES, rng)

    held = 0
    for left, right in zip(x, y, strict=True):
        interval = probability_of_improvement(left, right, paired=paired)
        held += interval.low <= truth <= interval.high

    assert 0.93 <= held / CASES <= 0.99


def test_performance_profile_by_hand():
    """The profile counts the episodes strictly above each threshold."""
    profile = performance_profile([[1.0, 2.0], [3.0, 4.0]], [0.0, 2.0, 3.5, 4.0])

    assert profile.share.tolist() == [1.0, 0.5, 0.25, 0.0]
    assert (profile.low <= profile.share).all()
    assert (profile.share <= profile.high).all()
    assert profile.high[-1] > 0.0


def test_performance_profile_of_one_seed_is_unbounded():
    """A single seed leaves the whole range open."""
    profile = performance_profile([[1.0, 2.0]], [1.5])

    assert (profile.low.tolist(), profile.high.tolist()) == ([0.0], [1.0])


@pytest.mark.parametrize(
    ("other", "expected"),
    [((0.0, 3.0), True), ((2.0, 3.0), True), ((2.1, 3.0), False), ((-1.0, 0.9), False)],
)
def test_overlap(other, expected):
    """Intervals overlap when they share a point, be it an end."""
    first, second = Interval(1.5, 1.0, 2.0), Interval(0.0, *other)

    assert overlap(first, second) is expected
    assert overlap(second, first) is expected


@pytest.mark.parametrize(
    ("returns", "complaint"),
    [
        ([1.0, 2.0], r"need a filled array \[seeds, episodes\], got shape \(2,\)"),
        (np.empty((0, 3)), r"got shape \(0, 3\)"),
        ([[1.0, np.nan]], "need finite numbers, got 1 others"),
    ],
)
def test_unusable_returns_are_refused(returns, complaint, rng):
    """The message names what was wanted and what came."""
    with pytest.raises(ValueError, match=complaint):
        bootstrap_interval(returns, rng=rng)


def test_unequal_seeds_are_not_paired(rng):
    """Pairing needs as many seeds on either side."""
    with pytest.raises(ValueError, match="need the same seeds, got 2 and 3"):
        paired_difference([[1.0], [2.0]], [[1.0], [2.0], [3.0]], rng=rng)
