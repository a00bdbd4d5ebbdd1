"""Pictures of a search: tables in, matplotlib figures out; for notebooks and the report alike.

`trials` and `metrics` are the tables of a run directory. Nothing here touches pyplot, so a figure
belongs to whoever asked for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from biomarl_tune.analysis.looks import (
    BLUE,
    GREY,
    STATES,
    VERMILLION,
    Look,
    Scale,
    add_legend,
    captioned,
    metric_label,
    new_figure,
    scale_of,
    setting_label,
    trial_label,
    without_data,
)

Mode = Literal["max", "min"]

_BEHIND_TEXT = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.6}


def learning_curves(
    metrics: pd.DataFrame,
    trials: pd.DataFrame,
    *,
    metric: str = "episode_return_mean",
    mode: Mode = "max",
    rungs: Sequence[int] = (),
) -> Figure:
    """Draw a metric against agent steps, one line a trial and seed, the best trial in front.

    Args:
        metrics: the reports.
        trials: how each trial ended.
        metric: the scalar that is drawn.
        mode: whether high or low values are good.
        rungs: iterations at which early stopping decided; drawn where half of the trials have
            taken fewer agent steps.
    """
    figure, axes = new_figure()
    if metrics.empty:
        return without_data(figure, axes, "no reports yet")
    best = best_number(trials, mode=mode)
    for state, look in STATES.items():
        numbers = trials.loc[(trials["state"] == state) & (trials["number"] != best), "number"]
        _draw_curves(axes, metrics[metrics["number"].isin(numbers)], metric, look)
    if best is not None:
        front = Look(f"best score: trial {best}", VERMILLION, "*")
        _draw_curves(axes, metrics[metrics["number"] == best], metric, front, is_front=True)
    axes.set_xlabel("agent steps")
    axes.set_ylabel(metric_label(metric))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    add_legend(figure, axes)
    caption = "Each line is a trial; its mark shows where the trial ended."
    for level in rungs:
        place = metrics.loc[metrics["iteration"] == level, "agent_steps"].median()
        axes.axvline(place, color=GREY, linewidth=1.0, linestyle="--", zorder=0)
    if rungs:
        caption += f" Dashed: the rungs, iterations {', '.join(map(str, rungs))}."
    return captioned(figure, caption)


def return_against_setting(
    trials: pd.DataFrame, name: str, *, metric: str = "episode_return_mean", mode: Mode = "max"
) -> Figure:
    """Draw the last value of each trial against one searched setting.

    Args:
        trials: with the column `params.<name>`.
        name: dotted name of the setting.
        metric: what `value` is, for the axis.
        mode: whether high or low values are good.
    """
    figure, axes = new_figure()
    column = f"params.{name}"
    drawn = trials.dropna(subset=["value", column])
    axes.set_xlabel(setting_label(name))
    axes.set_ylabel(metric_label(metric))
    if drawn.empty:
        return without_data(figure, axes, "no trial with a value yet")
    places = _place_on_x(axes, scale_of(drawn[column]), drawn["number"].to_numpy())
    values = drawn["value"].to_numpy()
    for state, look in STATES.items():
        chosen = (drawn["state"] == state).to_numpy()
        if chosen.any():
            label = f"{look.label} ({chosen.sum()})"
            axes.scatter(
                places[chosen], values[chosen], s=38, c=look.colour, marker=look.marker,
                label=label, alpha=0.8, linewidths=0,
            )  # fmt: skip
    best = best_number(trials, mode=mode)
    ringed = (drawn["number"] == best).to_numpy()
    if ringed.any():
        axes.scatter(
            places[ringed], values[ringed], s=150, facecolors="none", edgecolors=VERMILLION,
            linewidths=1.8, label=f"best score: trial {best}",
        )  # fmt: skip
    add_legend(figure, axes)
    caption = (
        "Each mark is a trial's last value; one that was stopped early had less time to learn."
    )
    return captioned(figure, caption + _left_out(trials, drawn))


def evaluation_intervals(summary: pd.DataFrame, *, level: float = 0.95) -> Figure:
    """Draw held-out returns with their intervals, one row a trial, in the order of the table.

    Args:
        summary: `number` (-1 the defaults, -2 a random policy), `estimate`, `low`, `high`; bounds
            that are infinite or missing are left out.
        level: confidence of the intervals, for the caption.
    """
    figure, axes = new_figure(height=1.7 + 0.42 * len(summary))
    rows = np.arange(len(summary))
    centre = summary["estimate"].to_numpy(dtype=np.float64)
    bounds = summary[["low", "high"]].to_numpy(dtype=np.float64).T  # [2, rows]
    reach = np.where(np.isfinite(bounds), np.abs(bounds - centre), 0.0)
    searched = (summary["number"] >= 0).to_numpy()
    for chosen, colour, marker in ((searched, BLUE, "o"), (~searched, GREY, "s")):
        axes.errorbar(
            centre[chosen], rows[chosen], xerr=reach[:, chosen], fmt=marker, color=colour,
            markersize=8, capsize=5, elinewidth=2.2, capthick=2.2,
        )  # fmt: skip
    axes.set_yticks(rows, [trial_label(number) for number in summary["number"]])
    axes.set_ylim(len(summary) - 0.5, -0.5)
    axes.set_xlabel("colony return on held-out seeds (reward)")
    caption = f"Interquartile mean and {level:.0%} interval over seeds. Settings whose intervals "
    caption += "overlap cannot be told apart."
    if not np.isfinite(bounds).all():
        caption += " A mark without a bar: too few seeds for an interval."
    return captioned(figure, caption)


def parallel_coordinates(
    trials: pd.DataFrame, *, metric: str = "episode_return_mean", mode: Mode = "max"
) -> Figure:
    """Draw each trial as a line through its settings; the better its value, the darker."""
    figure, axes = new_figure(height=4.4)
    names = [column.removeprefix("params.") for column in trials if column.startswith("params.")]
    drawn = trials.dropna(subset=["value"]).sort_values("value", ascending=mode == "max")
    if drawn.empty or not names:
        return without_data(figure, axes, "no trial with a value yet")
    heights = np.column_stack([_draw_scale(axes, x, drawn, name) for x, name in enumerate(names)])
    lines = LineCollection(
        [np.column_stack([np.arange(len(names)), line]) for line in heights],
        array=drawn["value"].to_numpy(), cmap="viridis_r" if mode == "max" else "viridis",
        linewidths=np.where(drawn["state"] == "COMPLETE", 2.4, 1.0).tolist(), alpha=0.85,
    )  # fmt: skip
    axes.add_collection(lines)
    words = [name.rpartition(".")[2].replace("_", "\n") for name in names]
    axes.set_xticks(range(len(names)), words)
    axes.set(xlim=(-0.3, len(names) - 0.4), ylim=(-0.06, 1.06), yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(lines, ax=axes, location="top", label=metric_label(metric), aspect=35)
    caption = "Each line is a trial; thick lines ran to the end, thin ones did not."
    caption += " A gap: the trial has no such setting." if np.isnan(heights).any() else ""
    return captioned(figure, caption + _left_out(trials, drawn))


def importance(importances: pd.DataFrame) -> Figure:
    """Draw how much of the variation in the objective each setting explains.

    Args:
        importances: `setting` (dotted name), `importance` (share, 0 to 1) and, where they are
            known, `low` and `high`.
    """
    ordered = importances.sort_values("importance")
    figure, axes = new_figure(height=1.5 + 0.4 * len(ordered))
    rows = np.arange(len(ordered))
    share = ordered["importance"].to_numpy()
    ends = share
    axes.barh(rows, share, color=BLUE, height=0.6)
    if {"low", "high"} <= set(ordered.columns):
        ends = ordered["high"].to_numpy()
        reach = np.stack([share - ordered["low"], ends - share])
        axes.errorbar(share, rows, xerr=reach, fmt="none", ecolor="black", capsize=4)
    for row, (length, end) in enumerate(zip(share, ends, strict=True)):
        axes.annotate(f"{length:.0%}", (end, row), (5, 0), textcoords="offset points", va="center")
    axes.set_yticks(rows, list(ordered["setting"]))
    axes.set_xlim(0, max(float(ends.max(initial=0.0)), 0.01) * 1.2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel("share of explained variation")
    return captioned(figure, "How much of the objective's variation each setting accounts for.")


def best_number(trials: pd.DataFrame, *, mode: Mode = "max") -> int | None:
    """Return the number of the best complete trial, or None while there is none."""
    values = trials.loc[trials["state"] == "COMPLETE"].set_index("number")["value"].dropna()
    if values.empty:
        return None
    return int(values.idxmax() if mode == "max" else values.idxmin())


def _draw_curves(
    axes: Axes, metrics: pd.DataFrame, metric: str, look: Look, *, is_front: bool = False
) -> None:
    label = look.label if is_front else f"{look.label} ({metrics['number'].nunique()})"
    for _, curve in metrics.groupby(["number", "seed"]):
        ordered = curve.sort_values("iteration")
        axes.plot(
            ordered["agent_steps"], ordered[metric], color=look.colour, label=label,
            linewidth=2.6 if is_front else 1.1, alpha=1.0 if is_front else 0.65,
            marker=look.marker, markersize=13 if is_front else 6, markevery=[-1],
        )  # fmt: skip
        label = "_nolegend_"


def _place_on_x(axes: Axes, scale: Scale, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Set up the x axis and return where on it each trial stands."""
    if scale.ticks:
        axes.set_xticks(*zip(*scale.ticks, strict=True))
        axes.set_xlim(-0.5, len(scale.ticks) - 0.5)
        return scale.positions + 0.36 * _spread(numbers)
    if scale.is_log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
    return scale.positions


def _draw_scale(axes: Axes, x: float, drawn: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Draw a setting's upright scale and return where on it, from 0 to 1, each trial stands."""
    values = drawn[f"params.{name}"]
    scale = scale_of(values)
    ticks = scale.ticks or [(value, f"{value:.3g}") for value in (values.min(), values.max())]
    bend = np.log if scale.is_log else np.asarray
    low, high = bend(ticks[0][0]), bend(ticks[-1][0])
    span = high - low or 1.0
    axes.axvline(x, ymin=0.05, ymax=0.95, color=GREY, linewidth=1.0, zorder=0)
    for position, label in ticks:
        place = float((bend(position) - low) / span)
        axes.text(x + 0.05, place, label, fontsize=9, va="center", zorder=5, bbox=_BEHIND_TEXT)
    heights = np.asarray((bend(scale.positions) - low) / span)
    return heights + 0.05 * _spread(drawn["number"].to_numpy()) if scale.ticks else heights


def _spread(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return an offset from -0.5 to 0.5 a trial, so that trials of one choice can be told apart."""
    return np.asarray(numbers * 0.618 % 1 - 0.5)


def _left_out(trials: pd.DataFrame, drawn: pd.DataFrame) -> str:
    missing = len(trials) - len(drawn)
    return f" Not drawn for want of a value: {missing} of {len(trials)} trials." if missing else ""
