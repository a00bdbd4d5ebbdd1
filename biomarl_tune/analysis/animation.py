"""A recorded episode as an animated GIF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D

from biomarl_tune.analysis.looks import BLUE, GREEN, GREY, ORANGE, VERMILLION
from biomarl_tune.analysis.replay import Recording
from biomarl_tune.colony import lattice
from biomarl_tune.errors import InputError

_FRAMES = 125  # at most; longer episodes are shown in larger strides
_PURPLE = "#9440ba"
_FLASH = 10  # steps for which a breakthrough is seen


def write_gif(recordings: Sequence[Recording], path: Path, *, frames: int = _FRAMES) -> None:
    """Write the first of some recorded episodes as an animation of about ten seconds.

    Args:
        recordings: at least one.
        path: the file, which should end in .gif.
        frames: at most so many; a long episode is shown in larger strides.

    Raises:
        InputError: the file cannot be written.
    """
    recording = recordings[0]
    stride = max(1, -(-recording.steps // frames))
    figure = Figure(figsize=(5.0, 4.6), dpi=80)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 0.94), projection="3d")
    steps = [*range(0, recording.steps, stride), recording.steps]
    film = FuncAnimation(figure, lambda t: _draw(axes, recording, t), frames=steps)
    try:
        film.save(path, writer=PillowWriter(fps=12))
    except OSError as error:
        msg = f"{path}: cannot be written ({error.strerror}); choose another --gif"
        raise InputError(msg) from None


def _draw(axes: Axes3D, recording: Recording, t: int) -> list[Artist]:
    axes.clear()
    place = lattice.coordinates(recording.env.grid_size)
    agents = recording.env.num_agents
    offset = np.random.default_rng(0).uniform(-0.25, 0.25, size=(agents, 3))
    strength = recording.scent[t] / (recording.scent.max() or 1.0)
    smelling = strength > 0.02
    size = 1600 * min(
        1.0, (36 / len(place)) ** (2 / 3)
    )  # a cell's, on the lattices of default size
    if smelling.any():
        axes.scatter(
            *place[smelling].T, s=size * strength[smelling], c=_PURPLE,
            alpha=0.08 + 0.4 * strength[smelling], linewidths=0, depthshade=False,
        )  # fmt: skip
    axes.scatter(*place[[lattice.NEST]].T, s=260, c=GREY, marker="s", depthshade=False)
    food = place[recording.food_cell[t]]
    axes.scatter(*food.T, s=220, c=GREEN, marker="D", depthshade=False)
    stand = place[recording.cell[t]] + offset
    loaded = recording.carrying[t]
    for chosen, colour in ((~loaded, BLUE), (loaded, ORANGE)):
        axes.scatter(
            *stand[chosen].T, s=42, c=colour, edgecolors="white", linewidths=0.6, depthshade=False
        )
    flashing = recording.breakthrough[max(0, t - _FLASH) : t + 1, :-1].any(axis=0)
    axes.scatter(
        *stand[flashing].T, s=130, facecolors="none", edgecolors=VERMILLION, linewidths=1.4,
        depthshade=False,
    )  # fmt: skip
    x, y, z = recording.env.grid_size
    axes.set(xlim=(-0.5, x - 0.5), ylim=(-0.5, y - 0.5), zlim=(-0.5, z - 0.5))
    axes.set_box_aspect((x, y, z))
    axes.set(xticks=range(x), yticks=range(y), zticks=range(z))
    axes.tick_params(labelbottom=False, labelleft=False, labelright=False, length=0)
    axes.view_init(elev=22, azim=-60 + 40 * t / max(recording.steps, 1))
    delivered = recording.delivered[: t + 1].sum()
    axes.set_title(f"step {t}   deliveries {delivered}", fontsize=11)
    return []
