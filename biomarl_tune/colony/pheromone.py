"""The pheromone field: laid, evaporated, spread and read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biomarl_tune.compiled import compiled


def age(
    field: NDArray[np.float32],  # [E, C]
    cell: NDArray[np.int64],  # [E, N]
    carrying: NDArray[np.bool_],  # [E, N]
    *,
    carrier: float,
    visit: float,
    decay: float,
) -> None:
    """Age the field by one step in place: ``phi <- decay * phi + deposit``.

    Every agent lays ``visit`` where it stands, and ``carrier`` more with a load.
    """
    _age(field, cell, carrying, carrier, visit, np.float32(decay))


@compiled
def _age(
    field: NDArray[np.float32],
    cell: NDArray[np.int64],
    carrying: NDArray[np.bool_],
    carrier: float,
    visit: float,
    decay: np.float32,
) -> None:
    laid = np.empty(field.shape[1])
    for world in range(field.shape[0]):
        laid[:] = 0.0
        for agent in range(cell.shape[1]):
            laid[cell[world, agent]] += carrier * carrying[world, agent] + visit
        for place in range(laid.size):
            field[world, place] = decay * field[world, place] + np.float32(laid[place])


def diffuse(
    field: NDArray[np.float32],  # [E, C]
    moves: NDArray[np.int64],  # [C, 7]
    *,
    share: float,
) -> None:
    """Spread a share of each cell evenly over its six face neighbours, in place.

    What would leave through a wall stays in the cell, so that the sum is kept.
    """
    _diffuse(field, moves, np.float32(share))


@compiled
def _diffuse(field: NDArray[np.float32], moves: NDArray[np.int64], share: np.float32) -> None:
    neighbours = moves.shape[1] - 1  # the first move stays
    before = np.empty_like(field[0])
    for world in range(field.shape[0]):
        before[:] = field[world]
        for place in range(before.size):
            arriving = np.float32(0.0)
            for move in range(1, neighbours + 1):
                arriving += before[moves[place, move]]
            kept = (np.float32(1.0) - share) * before[place]
            field[world, place] = kept + share * (arriving / np.float32(neighbours))


def scent(field: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what agents smell: ``log(1 + phi) / 3``, same shape as the field."""
    smell: NDArray[np.float32] = np.log1p(field)
    smell /= np.float32(3.0)
    return smell
