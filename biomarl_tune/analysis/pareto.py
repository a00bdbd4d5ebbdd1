"""Two objectives at once: the trials that no other beats in both."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biomarl_tune.search.sections import Objective


def on_front(trials: pd.DataFrame, objective: tuple[Objective, ...]) -> NDArray[np.bool_]:
    """Tell which trials are on the Pareto front of two objectives.

    Only COMPLETE trials compete: one that was stopped is cheap because it was stopped.

    Args:
        trials: with `state`, `value` and `value_2`.
        objective: the two.

    Returns:
        [trials] whether no other is better in one objective and at least as good in the other.
    """
    first, second = (
        trials[column].to_numpy(dtype=float) * (-1.0 if part.mode == "max" else 1.0)
        for column, part in zip(("value", "value_2"), objective, strict=True)
    )
    competes = (trials["state"] == "COMPLETE").to_numpy() & np.isfinite(first + second)
    front = np.zeros(len(trials), dtype=np.bool_)
    least, holder = np.inf, np.inf  # the least second objective so far, and the first one there
    for row in np.lexsort((second, first)):
        if competes[row] and (second[row] < least or (first[row], second[row]) == (holder, least)):
            front[row] = True
            least, holder = second[row], first[row]
    return front


def front_lines(trials: pd.DataFrame, objective: tuple[Objective, ...]) -> list[str]:
    """Say the front in words, one trial a line; nothing where there is one objective.

    Args:
        trials: as `load_trials` returns them.
        objective: of the search.
    """
    if len(objective) < 2:
        return []
    front = trials[trials["pareto"]].sort_values("value", ascending=objective[0].mode == "min")
    first, second = (f"{part.metric} ({part.mode})" for part in objective)
    if front.empty:
        return [f"No trial is complete, so {first} against {second} has no Pareto front."]
    lines = [f"Pareto front of {first} against {second}, among complete trials:"]
    names = [column for column in trials.columns if column.startswith("params.")]
    for row in front.to_dict("records"):
        settings = ", ".join(
            f"{name.rpartition('.')[2]} = {_shown(row[name])}"
            for name in names
            if not pd.isna(row[name])
        )
        lines.append(
            f"  trial {row['number']}: {row['value']:.5g} against {row['value_2']:.5g} ({settings})"
        )
    return lines


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
