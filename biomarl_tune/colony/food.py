"""Food: loaded at its patches, unloaded in the nest, and placed anew when it is used up.

Letters: E worlds, N agents, P patches, F far cells, D draws.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biomarl_tune.colony.lattice import NEST
from biomarl_tune.compiled import compiled


@compiled
def unload(
    cell: NDArray[np.int64],  # [E, N]
    carrying: NDArray[np.bool_],  # [E, N]
) -> NDArray[np.bool_]:  # [E, N]
    """Unload, in place, the carriers that are in the nest and return which they are."""
    delivered = np.zeros(carrying.shape, dtype=np.bool_)
    for world in range(cell.shape[0]):
        for agent in range(cell.shape[1]):
            if carrying[world, agent] and cell[world, agent] == NEST:
                carrying[world, agent] = False
                delivered[world, agent] = True
    return delivered


@compiled
def load(
    cell: NDArray[np.int64],  # [E, N]
    carrying: NDArray[np.bool_],  # [E, N]
    food_cell: NDArray[np.int64],  # [E, P]
    food_units: NDArray[np.int64],  # [E, P]
) -> NDArray[np.bool_]:  # [E, N]
    """Load, in place, empty agents that stand on food, the lowest numbers first."""
    picked = np.zeros(carrying.shape, dtype=np.bool_)
    for world in range(cell.shape[0]):
        for patch in range(food_cell.shape[1]):
            for agent in range(cell.shape[1]):
                if food_units[world, patch] == 0:
                    break
                if not carrying[world, agent] and cell[world, agent] == food_cell[world, patch]:
                    food_units[world, patch] -= 1
                    carrying[world, agent] = picked[world, agent] = True
    return picked


@compiled
def place(
    food_cell: NDArray[np.int64],  # [E, P]
    food_units: NDArray[np.int64],  # [E, P]
    draws: NDArray[np.int64],  # [E, D] places to come, as ranks among all far cells but the last
    cursor: NDArray[np.int64],  # [E] draws used up; P are left, at least
    far: NDArray[np.int64],  # [F]
    units: int,
) -> None:
    """Put a full patch, in place, into another far cell for every patch that is empty."""
    for world in range(food_cell.shape[0]):
        for patch in range(food_cell.shape[1]):
            if food_units[world, patch] > 0:
                continue
            chosen = far[draws[world, cursor[world]]]
            if chosen == food_cell[world, patch]:
                chosen = far[-1]
            cursor[world] += 1
            food_cell[world, patch] = chosen
            food_units[world, patch] = units
