"""What the searched settings do to the objective, judged on trials of equal budget alone.

Importance: fANOVA (Hutter et al. 2014) and PED-ANOVA (Watanabe et al. 2023), both Optuna's, with
the spread over resampled trials. The search looks more often where it found good values, so these
are shares of the variation that this search saw.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, create_trial

from biomarl_tune.search.proposals import DIRECTIONS, distribution
from biomarl_tune.search.rungs import rung_levels
from biomarl_tune.search.space import Dimension, plain
from biomarl_tune.search.spec import SearchSpec

Mode = Literal["max", "min"]

ENOUGH = 12  # trials; with fewer, nothing is said
_RESAMPLES = 16
_TOP = 0.25  # PED-ANOVA looks at what sets this share of the trials, the best, apart


@dataclass(frozen=True)
class Sample:
    """Trials that can be compared: each one's objective after the same number of iterations."""

    settings: pd.DataFrame  # [trials] one column a searched setting that all of them have
    values: pd.Series  # [trials] the objective
    space: dict[str, Dimension]  # of those settings
    mode: Mode
    iterations: int
    note: str  # which trials these are, in words
    is_final: bool = True  # those iterations are the whole budget

    @property
    def is_enough(self) -> bool:
        """Whether there are trials enough to say anything."""
        return len(self.values) >= ENOUGH and bool(self.space)


def comparable_trials(spec: SearchSpec, trials: pd.DataFrame, metrics: pd.DataFrame) -> Sample:
    """Choose trials of equal budget: the COMPLETE ones, or what reached a rung if they are few.

    Args:
        spec: of the search.
        trials: its table of trials.
        metrics: its table of reports.
    """
    budget = spec.stopping.max_iterations
    complete = trials[trials["state"] == "COMPLETE"]
    found = _sample(spec, trials, _values_at(spec, metrics, complete["number"], budget), budget)
    if found.is_enough:
        return found
    for level in reversed(rung_levels(spec.stopping)):
        usable = trials.loc[trials["state"] != "FAILED", "number"]
        earlier = _sample(spec, trials, _values_at(spec, metrics, usable, level), level)
        if earlier.is_enough:
            note = (
                f"Only {len(found.values)} trials ran to iteration {budget}, too few to compare "
                f"(at least {ENOUGH} are needed), so this shows the {len(earlier.values)} that "
                f"reached iteration {level}, at that iteration: what learns fast at first, which "
                "need not be what is best in the end."
            )
            return Sample(**{**vars(earlier), "note": note, "is_final": False})
    note = f"Too few trials of equal budget: {len(found.values)}, at least {ENOUGH} are needed."
    return Sample(**{**vars(found), "note": note})


def importances(sample: Sample, *, seed: int = 0) -> pd.DataFrame:
    """Return how much of the objective's variation each setting accounts for, by two methods.

    Args:
        sample: trials of equal budget, enough of them.
        seed: of the resampling and of fANOVA's forest.

    Returns:
        One row a method ("fANOVA", "PED-ANOVA") and setting: ``method``, ``setting``,
        ``importance`` (share, sums to 1 for each method) and the 5th and 95th percentile over
        resampled trials, ``low`` and ``high``.
    """
    rng = np.random.default_rng(seed)
    frozen = _frozen(sample)
    draws = [rng.integers(len(frozen), size=len(frozen)) for _ in range(_RESAMPLES)]
    rows = []
    for method in ("fANOVA", "PED-ANOVA"):
        share = _evaluate(method, frozen, sample, seed)
        spread = [_evaluate(method, [frozen[i] for i in draw], sample, seed) for draw in draws]
        for name in sample.space:
            low, high = np.quantile([found[name] for found in spread], [0.05, 0.95])
            bounds = min(float(low), share[name]), max(float(high), share[name])
            rows.append((method, name, share[name], *bounds))
    return pd.DataFrame(rows, columns=["method", "setting", "importance", "low", "high"])


def _values_at(
    spec: SearchSpec, metrics: pd.DataFrame, numbers: pd.Series, iteration: int
) -> pd.Series:
    """Return the objective of some trials at an iteration, the mean over their training seeds."""
    chosen = metrics[(metrics["iteration"] == iteration) & metrics["number"].isin(numbers)]
    return chosen.groupby("number")[spec.objective[0].metric].mean().dropna()


def _sample(spec: SearchSpec, trials: pd.DataFrame, values: pd.Series, iterations: int) -> Sample:
    rows = trials.set_index("number").loc[values.index]
    everywhere = {
        name: dimension
        for name, dimension in spec.space.items()
        if len(rows) and rows[f"params.{name}"].notna().all()
    }
    settings = pd.DataFrame({name: rows[f"params.{name}"] for name in everywhere})
    inside = [
        all(
            everywhere[name].contains(_unplain(value, everywhere[name]))
            for name, value in row.items()
        )
        for row in settings.to_dict("records")
    ]
    kept = np.array(inside, dtype=bool) if everywhere else np.zeros(len(values), dtype=bool)
    note = f"{int(kept.sum())} trials that ran to iteration {iterations}."
    return Sample(
        settings[kept], values[kept], everywhere, spec.objective[0].mode, iterations, note
    )


def _unplain(value: object, dimension: Dimension) -> object:
    """Return the choice that a table's plain value stands for, the value itself in a range."""
    return next((c for c in dimension.choices if plain(c) == value), value)


def _frozen(sample: Sample) -> list[FrozenTrial]:
    distributions: dict[str, BaseDistribution] = {
        name: distribution(dimension) for name, dimension in sample.space.items()
    }
    return [
        create_trial(
            params={name: _python(value) for name, value in row.items()},
            distributions=distributions,
            value=float(value),
        )
        for row, value in zip(sample.settings.to_dict("records"), sample.values, strict=True)
    ]


def _python(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _evaluate(
    method: str, trials: list[FrozenTrial], sample: Sample, seed: int
) -> dict[str, float]:
    """Return each setting's share; equal ones where the objective does not vary at all."""
    equal = dict.fromkeys(sample.space, 1 / len(sample.space))
    study = optuna.create_study(direction=DIRECTIONS[sample.mode])
    study.add_trials(trials)
    evaluator = (
        FanovaImportanceEvaluator(n_trees=32, max_depth=16, seed=seed)
        if method == "fANOVA"
        else PedAnovaImportanceEvaluator(target_quantile=_TOP)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = evaluator.evaluate(study, params=list(sample.space))
        except RuntimeError:  # what fANOVA raises where no tree sees two different values
            return equal
    total = sum(found.values())
    if not np.isfinite(total) or total <= 0:
        return equal
    return {name: found[name] / total for name in sample.space}
