"""What a handful of seeds can and cannot tell: robust averages, intervals, comparisons.

Letters: S seeds, K episodes a seed, B resamples. Returns are [S, K]. The seed is the unit: the
episodes of one seed are alike, so they are never drawn apart from each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]  # [..., n] -> [...]


class Interval(NamedTuple):
    """An estimate and the bounds of its confidence interval, in the units of the data."""

    estimate: float
    low: float
    high: float


class Profile(NamedTuple):
    """For each threshold, the share of episodes above it and its pointwise interval."""

    thresholds: Floats  # [n]
    share: Floats  # [n]
    low: Floats  # [n]
    high: Floats  # [n]


def interquartile_mean(values: Floats) -> Floats:
    """Return the mean of the middle half of the last axis: [..., n] -> [...].

    A quarter of the values, rounded down, is left out at either end (Agarwal et al. 2021).
    """
    return np.asarray(stats.trim_mean(values, 0.25, axis=-1))


def mean(values: Floats) -> Floats:
    """Return the mean over the last axis: [..., n] -> [...]."""
    return np.asarray(np.mean(values, axis=-1))


def median(values: Floats) -> Floats:
    """Return the median of the last axis: [..., n] -> [...]."""
    return np.asarray(np.median(values, axis=-1))


def bootstrap_interval(
    returns: ArrayLike,
    statistic: Statistic = interquartile_mean,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Estimate a statistic of all episodes, with a bootstrap interval over seeds.

    Whole seeds are drawn with replacement. A percentile interval is too short for few seeds (89 %
    instead of 95 % at ten), so its distance from the estimate is stretched to what Student's t asks
    for, in the spirit of Hesterberg (2015). In 2,000 simulated cases each, with ten seeds of three
    episodes and normal, heavy-tailed, mildly skewed or two-humped returns, it then held the true
    interquartile mean, mean and median 93 to 97 times in 100. BCa and the studentised bootstrap
    did no better. No construction held the mean of strongly skewed returns more than 93 times.

    Args:
        returns: [S, K].
        statistic: reduces the last axis.
        rng: draws the seeds.
        level: share of such intervals that hold the truth.
        resamples: B.

    Returns:
        The interval; for a single seed, which says nothing about others, it is unbounded.

    Raises:
        ValueError: the returns are not [S, K], empty or not finite.
    """
    values = _checked(returns)
    drawn = values[_draws(len(values), resamples, rng)]
    return _stretched(_pooled(values, statistic), _pooled(drawn, statistic), len(values), level)


def paired_difference(
    x: ArrayLike,
    y: ArrayLike,
    statistic: Statistic = interquartile_mean,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Estimate how far a statistic of x lies above that of y, both played on the same seeds.

    Each resample draws the same seeds for both, so that what a seed does to both cancels. The
    interval is built as in `bootstrap_interval`.

    Args:
        x: [S, K] returns.
        y: [S, K'] returns, the same seeds in the same order.
        statistic: reduces the last axis.
        rng: draws the seeds.
        level: share of such intervals that hold the truth.
        resamples: B.

    Raises:
        ValueError: the returns are not [S, K], empty or not finite, or their seeds differ in
            number.
    """
    left, right = _checked_pair(x, y)
    draws = _draws(len(left), resamples, rng)
    estimate = _pooled(left, statistic) - _pooled(right, statistic)
    drawn = _pooled(left[draws], statistic) - _pooled(right[draws], statistic)
    return _stretched(estimate, drawn, len(left), level)


def probability_of_improvement(
    x: ArrayLike, y: ArrayLike, *, paired: bool, level: float = 0.95
) -> Interval:
    """Estimate P(an episode of x returns more than one of y); a tie counts half.

    The Mann-Whitney form of Agarwal et al. (2021). The interval is Wilson's score interval for a
    share, with Student's t and with the number of trials that would give the variance seen between
    seeds. Unlike a bootstrap it stays honest near 0 and 1, where it errs on the wide side: of 4,000
    simulated cases with ten seeds it held the truth in 92 to 99 of 100.

    Args:
        x: [S, K] returns.
        y: [S', K'] returns.
        paired: row s of both was played on the same seed; only they are compared with each other.
        level: share of such intervals that hold the truth.

    Raises:
        ValueError: the returns are not [S, K], empty or not finite, or are paired and their seeds
            differ in number.
    """
    if paired:
        left, right = _checked_pair(x, y)
        wins = _wins(left[:, :, None], right[:, None, :])  # [S]
        bounds = _score_interval(wins.mean(), _variance_of_mean(wins), len(wins), level)
        return Interval(*map(float, bounds))
    left, right = _checked(x), _checked(y)
    wins = _wins(left[:, None, :, None], right[None, :, None, :])  # [S, S']
    variance = _variance_of_mean(wins.mean(axis=1)) + _variance_of_mean(wins.mean(axis=0))
    return Interval(*map(float, _score_interval(wins.mean(), variance, min(wins.shape), level)))


def performance_profile(
    returns: ArrayLike, thresholds: ArrayLike, *, level: float = 0.95
) -> Profile:
    """Return the share of episodes above each threshold (Agarwal et al. 2021, eq. 1).

    The band is pointwise: each threshold's interval alone holds the truth in `level` of cases.
    It is built as in `probability_of_improvement`.

    Args:
        returns: [S, K].
        thresholds: [n], in the units of the returns.
        level: share of such intervals that hold the truth.

    Raises:
        ValueError: the returns are not [S, K], empty or not finite.
    """
    values = _checked(returns)
    levels = np.asarray(thresholds, dtype=np.float64)
    above = (values[:, :, None] > levels).mean(axis=1)  # [S, n]
    share, low, high = _score_interval(
        above.mean(axis=0), _variance_of_mean(above), len(values), level
    )
    return Profile(levels, share, low, high)


def overlap(a: Interval, b: Interval) -> bool:
    """Tell whether two intervals share a point."""
    return a.low <= b.high and b.low <= a.high


def _pooled(values: Floats, statistic: Statistic) -> Floats:
    """Apply a statistic to all episodes of all seeds: [..., S, K] -> [...]."""
    return statistic(values.reshape(*values.shape[:-2], -1))


def _draws(seeds: int, resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.integers(seeds, size=(resamples, seeds))  # [B, S]


def _stretched(estimate: Floats, drawn: Floats, seeds: int, level: float) -> Interval:
    centre = float(estimate)
    if seeds == 1:
        return Interval(centre, -np.inf, np.inf)
    tail = (1 - level) / 2
    # the resamples' variance is (S - 1) / S of the unbiased one
    stretch = stats.t.isf(tail, seeds - 1) / stats.norm.isf(tail) * np.sqrt(seeds / (seeds - 1))
    below, above = stretch * (np.quantile(drawn, [tail, 1 - tail]) - centre)
    return Interval(centre, centre + min(float(below), 0.0), centre + max(float(above), 0.0))


def _score_interval(
    share: Floats, variance: Floats, seeds: int, level: float
) -> tuple[Floats, Floats, Floats]:
    """Wilson (1927) with an effective number of trials: [...] -> three times [...]."""
    if seeds == 1:
        return share, np.zeros_like(share), np.ones_like(share)
    spread = np.asarray(share * (1 - share))
    # one more seed, all won or all lost, keeps a few seeds that agree from looking like many
    variance = variance + spread / seeds**2
    trials = np.divide(spread, variance, out=np.full_like(spread, seeds), where=spread > 0)
    trials = np.maximum(trials, seeds)
    z = stats.t.isf((1 - level) / 2, seeds - 1)
    scale = 1 + z**2 / trials
    centre = (share + z**2 / (2 * trials)) / scale
    half = z / scale * np.sqrt(spread / trials + z**2 / (4 * trials**2))
    return share, np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


def _wins(x: Floats, y: Floats) -> Floats:
    """Return the share of comparisons that x wins, over the last two axes."""
    return np.asarray(((x > y) + 0.5 * (x == y)).mean(axis=(-2, -1)))


def _variance_of_mean(values: Floats) -> Floats:
    """Return the variance of the mean over the first axis, as the values themselves show it."""
    return np.asarray(values.var(axis=0) / len(values))


def _checked(returns: ArrayLike) -> Floats:
    values = np.asarray(returns, dtype=np.float64)
    if values.ndim != 2 or values.size == 0:
        msg = f"returns: need a filled array [seeds, episodes], got shape {values.shape}"
        raise ValueError(msg)
    if not np.isfinite(values).all():
        msg = f"returns: need finite numbers, got {np.count_nonzero(~np.isfinite(values))} others"
        raise ValueError(msg)
    return values


def _checked_pair(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    left, right = _checked(x), _checked(y)
    if len(left) != len(right):
        msg = f"paired returns: need the same seeds, got {len(left)} and {len(right)} of them"
        raise ValueError(msg)
    return left, right
