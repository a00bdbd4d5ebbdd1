"""Was early stopping right? What a random share of the condemned trials did to their end.

With ``stopping.audit: 0.1`` a tenth of the trials that ASHA condemns run on. Each stands for the
ten of its kind, so it weighs ten times as much here as a trial that was kept.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biomarl_tune.search.rungs import rung_levels
from biomarl_tune.search.sections import Objective, Stopping

Floats = NDArray[np.float64]

FEW = 5  # trials; below that a rank correlation says nothing


def rung_correlations(
    trials: pd.DataFrame, metrics: pd.DataFrame, stopping: Stopping, objective: Objective
) -> pd.DataFrame:
    """Return how well each rung foretells the order at the end.

    Args:
        trials: as `load_trials` returns them.
        metrics: as `load_metrics` returns them.
        stopping: of the search, with its `audit`.
        objective: the first.

    Returns:
        One row a rung: ``rung`` (iteration), ``trials`` that reached the end, ``audited`` among
        them, Spearman's ``correlation`` of the value at the rung with that at the end, weighted,
        and its 95 % interval ``low``, ``high``; NaN with fewer than five trials.
    """
    values, audited = _curves(trials, metrics, objective)
    weight = _weights(audited, stopping)
    rows = []
    for level in rung_levels(stopping):
        estimate = low = high = math.nan
        if len(values) >= FEW:
            at_rung, last = (values[i].to_numpy() for i in (level, stopping.max_iterations))
            estimate = weighted_spearman(at_rung, last, weight)
            low, high = _fisher_interval(estimate, weight)
        rows.append((level, len(values), int((audited > 0).sum()), estimate, low, high))
    columns = ["rung", "trials", "audited", "correlation", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def late_bloomers(
    trials: pd.DataFrame, metrics: pd.DataFrame, stopping: Stopping, objective: Objective
) -> pd.DataFrame:
    """Return what became of the condemned trials that ran on.

    Args:
        trials: as `load_trials` returns them.
        metrics: as `load_metrics` returns them.
        stopping: of the search, with its `audit`.
        objective: the first.

    Returns:
        One row an audited trial that reached the end: ``number``, ``condemned_at`` (iteration),
        ``value_then``, ``value`` at the end, ``better_than``: the share of the kept trials that
        ended worse, ``late_bloomer``: whether that is at least half of them, and ``grace``: the
        first iteration at which the rule would have kept it, NaN for one that is no late bloomer.
    """
    values, audited = _curves(trials, metrics, objective)
    sign = _sign(objective)
    rows = []
    for number, then in audited[audited > 0].items():
        last = sign * values[stopping.max_iterations]
        kept = last[audited == 0]
        better = float((kept < last[number]).mean()) if len(kept) else math.nan
        late = better >= 0.5
        grace = _grace(sign * values, audited, number, stopping) if late else math.nan
        row = (number, then, values.loc[number, then], sign * last[number], better, late, grace)
        rows.append(row)
    columns = ["number", "condemned_at", "value_then", "value", "better_than", "late_bloomer"]
    return pd.DataFrame(rows, columns=[*columns, "grace"])


def audit_lines(
    trials: pd.DataFrame, metrics: pd.DataFrame, stopping: Stopping, objective: Objective
) -> list[str]:
    """Say the audit in words; nothing where the search has none.

    Args:
        trials: as `load_trials` returns them.
        metrics: as `load_metrics` returns them.
        stopping: of the search.
        objective: the first.
    """
    if not stopping.audit:
        return []
    found = late_bloomers(trials, metrics, stopping, objective)
    stopped = trials["stopped_because"].str.startswith("asha").sum()
    condemned = int(stopped + (trials["audited"] > 0).sum())
    ran_on = f"of {condemned} condemned trials, {len(found)} ran on to the end"
    lines = [f"ASHA audit: {ran_on} (drawn by chance, {stopping.audit:.0%} on average)."]
    for row in rung_correlations(trials, metrics, stopping, objective).itertuples():
        told = f"{row.correlation:.2f} [{row.low:.2f}, {row.high:.2f}]"
        if math.isnan(row.correlation):
            told = f"unknown, fewer than {FEW} trials reached the end"
        lines.append(
            f"  rung {row.rung}: rank correlation with the end {told} ({row.trials} trials)"
        )
    return lines + _lost(found, stopping) + _best_was_condemned(trials, objective)


def weighted_spearman(x: Floats, y: Floats, weight: Floats) -> float:
    """Return the rank correlation of x and y [n] where each pair counts `weight` times."""
    ranks = [_weighted_ranks(values, weight) for values in (x, y)]
    covariance = np.cov(np.stack(ranks), aweights=weight, ddof=0)
    scale = math.sqrt(covariance[0, 0] * covariance[1, 1])
    return float(covariance[0, 1] / scale) if scale > 0 else math.nan


def _weighted_ranks(values: Floats, weight: Floats) -> Floats:
    """Return mid-ranks: the weight below a value and half of that at it."""
    below = (values[None, :] < values[:, None]) @ weight
    level = (values[None, :] == values[:, None]) @ weight
    return np.asarray(below + level / 2, dtype=np.float64)


def _fisher_interval(correlation: float, weight: Floats) -> tuple[float, float]:
    """Return a 95 % interval by Fisher's transformation, with Kish's effective number of pairs.

    The variance 1.06 / (n - 3) is that of a rank correlation (Fieller et al. 1957).
    """
    number = weight.sum() ** 2 / (weight**2).sum()
    if number <= 4 or not abs(correlation) < 1:
        return math.nan, math.nan
    half = 1.96 * math.sqrt(1.06 / (number - 3))
    return math.tanh(math.atanh(correlation) - half), math.tanh(math.atanh(correlation) + half)


def _curves(
    trials: pd.DataFrame, metrics: pd.DataFrame, objective: Objective
) -> tuple[pd.DataFrame, pd.Series]:
    """Return the curves of the trials that reached the end, and when each was condemned, or 0."""
    complete = trials[trials["state"] == "COMPLETE"].set_index("number")
    own = metrics[metrics["number"].isin(complete.index)]
    # of several training seeds the mean
    curves = own.pivot_table(index="number", columns="iteration", values=objective.metric)
    return curves, complete["audited"].reindex(curves.index)


def _weights(audited: pd.Series, stopping: Stopping) -> Floats:
    return np.where(audited > 0, 1.0 / (stopping.audit or 1.0), 1.0)


def _grace(values: pd.DataFrame, audited: pd.Series, number: int, stopping: Stopping) -> float:
    """Return the first later iteration at which a trial is among the best 1/reduction."""
    weight = _weights(audited, stopping)
    for iteration in (i for i in values.columns if i > audited[number]):
        better = (values[iteration] > values.loc[number, iteration]).to_numpy()
        if weight[better].sum() < weight.sum() / stopping.reduction:
            return float(iteration)
    return float(stopping.max_iterations)


def _lost(found: pd.DataFrame, stopping: Stopping) -> list[str]:
    late = found[found["late_bloomer"].astype(bool)]
    if found.empty:
        return []
    if late.empty:
        return ["  late bloomers: none; every audited trial ended in the worse half"]
    lines = [
        f"  late bloomer: trial {row.number}, condemned at iteration {row.condemned_at} with "
        f"{row.value_then:.5g}, ended at {row.value:.5g}, better than {row.better_than:.0%} of "
        "those kept"
        for row in late.itertuples()
    ]
    lost = f"about {len(late) / stopping.audit:.0f} late bloomers were condemned in all"
    grace = f"a grace of {late['grace'].max():.0f} iterations would have kept those audited"
    return [*lines, f"  {lost}; {grace}"]


def _best_was_condemned(trials: pd.DataFrame, objective: Objective) -> list[str]:
    complete = trials[trials["state"] == "COMPLETE"]
    if complete.empty:
        return []
    best = complete.loc[(complete["value"] * _sign(objective)).idxmax()]
    if not best["audited"]:
        return []
    told = f"it was condemned at iteration {best['audited']} and ran on for the audit only"
    return [f"  trial {best['number']} has the best value of all, although {told}"]


def _sign(objective: Objective) -> float:
    return 1.0 if objective.mode == "max" else -1.0
