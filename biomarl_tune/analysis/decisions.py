"""The decision log: why each trial was run, where and why it ended, and what early stopping did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from biomarl_tune.search import rungs
from biomarl_tune.search.rungs import rung_levels
from biomarl_tune.search.spec import SearchSpec

_ENDS = {"COMPLETE": "ran to the end", "PRUNED": "stopped early", "FAILED": "failed"}


def decision_line(trial: Mapping[str, Any]) -> str:
    """Say in one line why a trial was proposed and where and why it ended.

    Args:
        trial: a row of the table of trials.
    """
    end = _ENDS.get(trial["state"], str(trial["state"]).lower())
    value = "" if pd.isna(trial["value"]) else f" with {trial['value']:.5g}"
    because = f": {trial['stopped_because']}" if trial["stopped_because"] else ""
    error = str(trial["error"]).strip().splitlines()
    fault = f" ({error[-1][:160]})" if error else ""
    return (
        f"trial {trial['number']}: proposed by {trial['why']}; {end} at iteration "
        f"{trial['iterations']}{value}{because}{fault}"
    )


def rung_table(spec: SearchSpec, trials: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """Return one row a rung: how many trials arrived, how many ended there, what was saved.

    Args:
        spec: of the search.
        trials: its table of trials.
        metrics: its table of reports.

    Returns:
        ``iteration``, ``arrived``, ``stopped``, ``went_on``, ``cut`` (the highest value among
        those that were stopped; the lowest where small is good) and ``saved`` (agent steps that
        the stopped ones did not take).
    """
    metric, mode = spec.objective[0].metric, spec.objective[0].mode
    first = metrics[metrics["seed"] == 0]
    curves = rungs.curves_of(zip(first["number"], first["iteration"], first[metric], strict=True))
    rows = []
    for level in rung_levels(spec.stopping):
        reached = rungs.rung(curves, level)
        here = trials[(trials["state"] == "PRUNED") & (trials["iterations"] == level)]
        stopped = [reached[number] for number in here["number"] if number in reached]
        cut = (max if mode == "max" else min)(stopped) if stopped else float("nan")
        left = spec.stopping.max_iterations / level - 1
        saved = float((here["agent_steps"] * left).sum())
        rows.append((level, len(reached), len(here), len(reached) - len(here), cut, saved))
    columns = ["iteration", "arrived", "stopped", "went_on", "cut", "saved"]
    return pd.DataFrame(rows, columns=columns)
