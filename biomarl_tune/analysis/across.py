"""Pictures of several searches beside each other: what they found, and what it cost.

Like plots.py: tables in, matplotlib figures out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from biomarl_tune.analysis.looks import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILLION,
    add_legend,
    captioned,
    metric_label,
    new_figure,
    trial_label,
)
from biomarl_tune.analysis.plots import Mode

_COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, BLACK)


def best_so_far(
    runs: Mapping[str, pd.DataFrame], *, metric: str = "episode_return_mean", mode: Mode = "max"
) -> Figure:
    """Draw the best complete trial of each search against the processor time spent until then.

    Args:
        runs: the trials of each search, by its name.
        metric: the objective, for the axis.
        mode: whether high or low values are good.
    """
    figure, axes = new_figure()
    for place, (name, trials) in enumerate(runs.items()):
        told = trials.sort_values("number")
        spent = told["cpu_seconds"].fillna(0.0).cumsum()
        value = told["value"].where(told["state"] == "COMPLETE")
        best = value.cummax() if mode == "max" else value.cummin()
        colour = _COLOURS[place % len(_COLOURS)]
        axes.step(spent, best.ffill(), where="post", color=colour, linewidth=2.0, label=name)
        axes.scatter(spent, value, color=colour, s=16, alpha=0.6, linewidths=0)
    axes.set_xlabel("processor time of the trials until then (s)")
    axes.set_ylabel(metric_label(metric))
    add_legend(figure, axes)
    return captioned(
        figure,
        "Lines: the best complete trial so far, trials in the order of their beginning. Dots: "
        "each complete trial, by the score that the search gave it.",
    )


def held_out_of_runs(summary: pd.DataFrame) -> Figure:
    """Draw held-out returns with their intervals, one row a search and trial, searches together.

    Args:
        summary: `run`, `number` (-1 the defaults, -2 a random policy), `estimate`, `low`, `high`.
    """
    figure, axes = new_figure(height=1.7 + 0.34 * len(summary))
    places = np.arange(len(summary), dtype=np.float64)
    runs = list(dict.fromkeys(summary["run"]))
    for row, place in zip(summary.to_dict("records"), places, strict=True):
        colour = _COLOURS[runs.index(row["run"]) % len(_COLOURS)] if row["number"] >= 0 else GREY
        reach = [[row["estimate"] - row["low"]], [row["high"] - row["estimate"]]]
        axes.errorbar(
            row["estimate"], place, xerr=np.where(np.isfinite(reach), reach, 0.0), fmt="o",
            color=colour, markersize=7, capsize=4, elinewidth=2.0,
        )  # fmt: skip
    names = [
        f"{run}: {trial_label(n)}" for run, n in zip(summary["run"], summary["number"], strict=True)
    ]
    axes.set_yticks(places, names, fontsize=8)
    axes.set_ylim(len(summary) - 0.5, -0.5)
    axes.set_xlabel("colony return on held-out seeds (reward)")
    return captioned(
        figure,
        "Interquartile mean and 95 % interval over held-out seeds. Settings whose intervals "
        "overlap cannot be told apart.",
    )
