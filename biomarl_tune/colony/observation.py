"""What agents observe: the one place that knows the layout of the 12 columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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


def write_observation(
    out: NDArray[np.float32],  # [E, N, 12]
    *,
    position: NDArray[np.float32],  # [E, N, 3] scaled
    scents: NDArray[np.float32],  # [E, N, 7]
    carrying: NDArray[np.bool_],  # [E, N]
    crowd: NDArray[np.float32],  # [E, N]
) -> None:
    """Fill an observation array in place."""
    out[..., POSITION] = position
    out[..., SCENT] = scents
    out[..., CARRYING] = carrying
    out[..., CROWD] = crowd
