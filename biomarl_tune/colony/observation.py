"""What agents observe: the one place that knows the layout of the 12 columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biomarl_tune.compiled import compiled

POSITION = slice(0, 3)  # of the agent's cell, each axis scaled to [-1, 1]
SCENT = slice(3, 10)  # log(1 + pheromone) / 3 here and in the six reachable cells
CARRYING = 10  # 1 with a load, 0 without
CROWD = 11  # other agents in communication range, as a share of the other agents
NUM_COLUMNS = 12
NO_SCENT = (0, 1, 2, CARRYING, CROWD)  # the columns that are no scent

COLUMN_NAMES = (
    "position_x", "position_y", "position_z",
    "scent_here", "scent_plus_x", "scent_minus_x", "scent_plus_y", "scent_minus_y",
    "scent_plus_z", "scent_minus_z",
    "carrying", "crowd",
)  # fmt: skip


@compiled
def observe(  # noqa: C901, PLR0913, PLR0917 - what a world holds, and the lattice
    out: NDArray[np.float32],  # [E, N, 12]
    cell: NDArray[np.int64],  # [E, N]
    carrying: NDArray[np.bool_],  # [E, N]
    smell: NDArray[np.float32],  # [E, C]
    position: NDArray[np.float32],  # [C, 3] of every cell, scaled
    moves: NDArray[np.int64],  # [C, 7]
    near: NDArray[np.int64],  # [C, K] cells in communication range, padded with C
) -> None:
    """Write what the agents observe into ``out``."""
    worlds, agents = cell.shape
    cells = position.shape[0]
    count, in_range = np.zeros(cells + 1, np.int64), np.zeros(cells, np.int64)
    others = np.float32(max(agents - 1, 1))
    for world in range(worlds):
        for agent in range(agents):
            count[cell[world, agent]] += 1
        for agent in range(agents):
            here = cell[world, agent]
            for axis in range(position.shape[1]):
                out[world, agent, axis] = position[here, axis]
            for move in range(moves.shape[1]):
                out[world, agent, SCENT.start + move] = smell[world, moves[here, move]]
            out[world, agent, CARRYING] = carrying[world, agent]
            if in_range[here] == 0:
                for k in range(near.shape[1]):
                    in_range[here] += count[near[here, k]]
            out[world, agent, CROWD] = np.float32(in_range[here] - 1) / others
        for agent in range(agents):
            here = cell[world, agent]
            count[here] = in_range[here] = 0
