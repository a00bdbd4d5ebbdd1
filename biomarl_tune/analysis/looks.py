"""How figures look: size, colours and marks of states, labels with units, captions, scales.

Figures are narrow, so that they can be read on a phone, and states differ in their marks as well
as in their colours, which are those of Okabe and Ito (2008), told apart by colour-blind readers.
"""

from __future__ import annotations

import textwrap
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from biomarl_tune.experiment import setting_fields
from biomarl_tune.scalars import SCALARS

BLUE, ORANGE, GREEN, VERMILLION, BLACK, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#000000", "#777777",
)  # fmt: skip


class Look(NamedTuple):
    """Name, colour and mark of one kind of trial."""

    label: str
    colour: str
    marker: str


STATES = {
    "FAILED": Look("failed", BLACK, "X"),
    "PRUNED": Look("stopped early", ORANGE, "v"),
    "RUNNING": Look("running", GREEN, "D"),
    "COMPLETE": Look("complete", BLUE, "o"),
}
_NAMED_TRIALS = {-1: "defaults", -2: "random policy"}
_WIDTH = 4.8  # inches
_CHOICES = 4  # at most so many whole numbers are drawn as choices, not as a range
_DECADES = 1.3  # positive values that span more are drawn on a logarithmic scale


class Scale(NamedTuple):
    """Where the values of a setting stand on an axis."""

    positions: NDArray[np.float64]  # [trials] NaN where a trial does not have the setting
    ticks: list[tuple[float, str]]  # of choices; empty for a range
    is_log: bool


def new_figure(*, height: float = 3.6) -> tuple[Figure, Axes]:
    """Return an empty figure, a phone's width wide and `height` inches high, and its axes."""
    figure = Figure(figsize=(_WIDTH, height), dpi=160, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def captioned(figure: Figure, caption: str) -> Figure:
    """Write a caption below a figure and return it."""
    text = textwrap.fill(caption, 66)
    figure.supxlabel(text, x=0.02, ha="left", fontsize=9, color="#444444")
    return figure


def without_data(figure: Figure, axes: Axes, note: str) -> Figure:
    """Say in the middle of a figure why it is empty, and return it."""
    axes.set(xticks=[], yticks=[])
    axes.text(0.5, 0.5, note, ha="center", va="center", transform=axes.transAxes)
    return figure


def add_legend(figure: Figure, axes: Axes) -> None:
    """Put the legend above the axes, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper left", ncols=2, frameon=False, fontsize=9,
        handletextpad=0.4, columnspacing=1.2,
    )  # fmt: skip


def trial_label(number: int) -> str:
    """Return what a trial is called in a figure."""
    return _NAMED_TRIALS.get(number, f"trial {number}")


def metric_label(metric: str) -> str:
    """Return a scalar's name in words, with its unit where it has one."""
    meaning = SCALARS.get(metric, "")
    unit = meaning[meaning.rindex("(") :] if meaning.endswith(")") else ""
    return f"{metric.replace('_', ' ')} {unit}".strip()


def setting_label(name: str) -> str:
    """Return a setting's dotted name with its unit where it has one."""
    field = setting_fields().get(name)
    unit = field.json_schema_extra.get("unit") if field is not None else ""
    return f"{name} ({unit})" if unit else name


def scale_of(values: pd.Series) -> Scale:
    """Choose how to draw a setting: as choices, on a linear or on a logarithmic axis."""
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if not numeric:
        values = values.where(values.isna(), values.map(str))
    known = values.dropna()
    if not numeric or (known.nunique() <= _CHOICES and (known % 1 == 0).all()):
        options = sorted(known.unique())
        places = {option: float(place) for place, option in enumerate(options)}
        ticks = [(place, f"{option:g}" if numeric else option) for option, place in places.items()]
        return Scale(values.map(places).to_numpy(dtype=np.float64), ticks, is_log=False)
    positions = values.to_numpy(dtype=np.float64)
    is_log = bool(known.min() > 0 and np.log10(known.max() / known.min()) > _DECADES)
    return Scale(positions, [], is_log)
