"""Pictures of what was found after the search: profiles, dependence, ablation, robustness, rungs.

Like plots.py: tables and results in, matplotlib figures out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from biomarl_tune.analysis.ablation import WHOLE
from biomarl_tune.analysis.contenders import DEFAULTS, RANDOM, contender_name
from biomarl_tune.analysis.dependence import Dependence
from biomarl_tune.analysis.looks import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILLION,
    add_legend,
    captioned,
    metric_label,
    new_figure,
    setting_label,
)
from biomarl_tune.analysis.robustness import shown_world, varied_names
from biomarl_tune.analysis.statistics import Floats, performance_profile

_COLOURS = (VERMILLION, BLUE, GREEN, ORANGE, "#CC79A7", "#56B4E9")
_FIXED = {DEFAULTS: "black", RANDOM: GREY}


def performance_profiles(returns: Mapping[int, Floats]) -> Figure:
    """Draw for each checkpoint the share of held-out episodes above each return.

    Args:
        returns: [S, K] by number (-1 the defaults, -2 a random policy), the best first.
    """
    figure, axes = new_figure()
    everything = np.concatenate([values.ravel() for values in returns.values()])
    thresholds = np.linspace(everything.min(), everything.max(), 120)
    colours = iter(_COLOURS * len(returns))
    for number, values in returns.items():
        colour = _FIXED.get(number) or next(colours)
        profile = performance_profile(values, thresholds)
        style = "--" if number < 0 else "-"
        axes.plot(
            thresholds, profile.share, color=colour, linestyle=style, label=contender_name(number)
        )
        axes.fill_between(thresholds, profile.low, profile.high, color=colour, alpha=0.12, lw=0)
    axes.set_xlabel("colony return (reward)")
    axes.set_ylabel("episodes above it")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_ylim(-0.02, 1.02)
    add_legend(figure, axes)
    return captioned(
        figure, "Share of held-out episodes that return more; bands are pointwise 95 % intervals."
    )


def partial_dependence(dependence: Dependence, *, metric: str = "episode_return_mean") -> Figure:
    """Draw the objective against one setting, averaged over the others, with the good band."""
    figure, axes = new_figure(height=3.2)
    good = np.asarray(dependence.as_good)
    if dependence.is_range:
        x = np.asarray(dependence.values, dtype=np.float64)
        axes.plot(x, dependence.mean, color=BLUE, linewidth=2.2)
        axes.fill_between(x, dependence.low, dependence.high, color=BLUE, alpha=0.15, lw=0)
        axes.fill_between(
            x, 0, 1, where=good, color=GREEN, alpha=0.16, lw=0,
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip
        gaps = np.diff(x)
        if gaps[-1] > 3 * gaps[0]:
            axes.set_xscale("log")
    else:
        x = np.arange(len(dependence.values), dtype=np.float64)
        reach = np.stack([dependence.mean - dependence.low, dependence.high - dependence.mean])
        axes.errorbar(x, dependence.mean, yerr=reach, fmt="o", color=BLUE, capsize=5, markersize=8)
        axes.scatter(
            x[good], dependence.mean[good], s=150, facecolors="none", edgecolors=GREEN, linewidths=2
        )
        axes.set_xticks(x, [str(value) for value in dependence.values])
        axes.set_xlim(-0.5, len(x) - 0.5)
    axes.set_xlabel(setting_label(dependence.setting))
    axes.set_ylabel(metric_label(metric))
    best = dependence.values[dependence.best]
    best = f"{best:.2g}" if isinstance(best, float) else str(best)
    said = f"{dependence.band} is as good as the best, {best}"
    if dependence.is_flat:
        said = f"no value can be told from the best, {best}"
    elif good.sum() == 1:
        said = f"{best}, better than every other value"
    caption = f"Average over the other settings and its 95 % interval. Green: {said}."
    return captioned(figure, caption)


def ablation_losses(summary: pd.DataFrame) -> Figure:
    """Draw what the winner loses without each bio part."""
    rows = summary[summary["off"] != WHOLE]
    figure, axes = new_figure(height=1.6 + 0.42 * len(rows))
    places = np.arange(len(rows))
    reach = np.stack([rows["loss"] - rows["loss_low"], rows["loss_high"] - rows["loss"]])
    reach = np.where(np.isfinite(reach), reach, 0.0)
    axes.barh(places, rows["loss"], color=BLUE, height=0.55, alpha=0.85)
    axes.errorbar(rows["loss"], places, xerr=reach, fmt="none", ecolor="black", capsize=4)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(places, [f"{off} off" for off in rows["off"]])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("return lost (reward a colony and episode)")
    return captioned(
        figure,
        "The same brain on the same held-out seeds with a part off: interquartile mean lost and "
        "its paired 95 % interval. It was trained with the part.",
    )


def robustness_matrix(summary: pd.DataFrame) -> Figure:
    """Draw what an acting agent keeps of its return, worlds down, checkpoints across."""
    names = varied_names(summary)
    labelled = summary.assign(
        world=[shown_world({n: row[n] for n in names}) for row in summary.to_dict("records")]
    )
    kept = labelled.pivot_table(index="world", columns="number", values="kept", sort=False)
    figure, axes = new_figure(height=1.9 + 0.3 * len(kept))
    axes.imshow(kept.to_numpy(), cmap="RdYlGn", vmin=0, vmax=2, aspect="auto", alpha=0.75)
    for (row, column), share in np.ndenumerate(kept.to_numpy()):
        axes.text(column, row, f"{share:.0%}", ha="center", va="center", fontsize=9)
    axes.grid(visible=False)
    axes.set_yticks(range(len(kept)), kept.index, fontsize=8)
    axes.set_xticks(range(kept.shape[1]), [contender_name(n) for n in kept.columns])
    return captioned(
        figure, "Return of an acting agent as a share of what it is in the world of training."
    )


def cost_of_return(trials: pd.DataFrame) -> Figure:
    """Draw the last value of each trial against the processor time it took."""
    figure, axes = new_figure()
    drawn = trials.dropna(subset=["value"])
    for state, colour, marker in (("PRUNED", ORANGE, "v"), ("COMPLETE", BLUE, "o")):
        rows = drawn[drawn["state"] == state]
        axes.scatter(
            rows["cpu_seconds"], rows["value"], c=colour, marker=marker, s=40, alpha=0.8,
            linewidths=0, label={"PRUNED": "stopped early", "COMPLETE": "complete"}[state],
        )  # fmt: skip
    axes.set_xlabel("processor time of the trial (s)")
    axes.set_ylabel("last value of the objective")
    add_legend(figure, axes)
    return captioned(figure, "What each trial reached, and what it cost in processor time.")


def landscape(rows: pd.DataFrame) -> Figure:
    """Draw held-out return against each of several settings, with intervals over training seeds.

    Args:
        rows: one a trained brain, with `setting`, `value`, `seed` and `return`.
    """
    names = list(dict.fromkeys(rows["setting"]))
    across = min(len(names), 2)
    down = -(-len(names) // across)
    figure = Figure(figsize=(4.8 * across, 0.6 + 3.1 * down), dpi=110, layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.ravel()[len(names) :]:
        axes.set_visible(False)
    counts = rows.groupby(["setting", "value"])["seed"].nunique()
    for axes, name in zip(grid.ravel(), names, strict=False):
        chosen = rows[rows["setting"] == name].assign(value=lambda t: t["value"].astype(float))
        groups = chosen.groupby("value")["return"]
        values, mean = np.array(sorted(groups.groups)), groups.mean().to_numpy()
        places = np.arange(len(values), dtype=np.float64)
        for place, value in zip(places, values, strict=True):
            returns = groups.get_group(value)
            axes.scatter(np.full(len(returns), place), returns, color=GREY, s=14, alpha=0.6)
        freedom = np.maximum(groups.size().to_numpy() - 1, 1)
        half = stats.t.isf(0.025, freedom) * groups.sem().fillna(0.0).to_numpy()
        axes.errorbar(places, mean, yerr=half, fmt="o-", color=BLUE, capsize=5, linewidth=2)
        axes.set_xticks(places, [f"{value:g}" for value in values])
        axes.set_xlabel(setting_label(name))
        axes.set_ylabel("held-out return (reward)")
        least, most = float(chosen["return"].min()), float(max((mean + half).max(), 0.0))
        axes.set_ylim(min(0.0, least), 1.06 * max(most, float(chosen["return"].max())) or 1.0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, axis="y", color="#e5e5e5", linewidth=0.8)
    few, many = counts.min(), counts.max()
    seeds = str(many) if few == many else f"{few} to {many}"
    caption = f"Mean and 95 % interval over {seeds} training seeds; grey: each of them."
    return captioned(figure, caption if many > 1 else "One training seed: no interval.")
