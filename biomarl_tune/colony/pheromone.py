"""The pheromone field: laid, evaporated, spread and read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biomarl_tune.colony.lattice import Grid, move_table


def deposit(
    cells: NDArray[np.int64],  # [E, N]
    carrying: NDArray[np.bool_],  # [E, N]
    *,
    num_cells: int,
    carrier: float,
    visit: float,
) -> NDArray[np.float32]:  # [E, C]
    """Return what the agents lay in each cell in one step."""
    worlds = cells.shape[0]
    amount = carrier * carrying + visit
    flat = (cells + num_cells * np.arange(worlds)[:, None]).ravel()
    laid = np.bincount(flat, weights=amount.ravel(), minlength=worlds * num_cells)
    return laid.reshape(worlds, num_cells).astype(np.float32)


def evaporate(
    field: NDArray[np.float32],  # [E, C]
    laid: NDArray[np.float32],  # [E, C]
    *,
    decay: float,
) -> None:
    """Age the field by one step in place: ``phi <- decay * phi + deposit``."""
    field *= np.float32(decay)
    field += laid


def diffusion_matrix(grid: Grid, share: float) -> NDArray[np.float32]:  # [C, C]
    """Return the matrix that spreads a share of each cell evenly over its face neighbours.

    What would leave through a wall stays in the cell, so that the sum is kept.
    """
    table = move_table(grid)
    cells = table.shape[0]
    matrix = np.eye(cells, dtype=np.float32) * np.float32(1.0 - share)
    for move in range(1, table.shape[1]):
        np.add.at(matrix, (np.arange(cells), table[:, move]), np.float32(share / 6.0))
    return matrix


def scent(field: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what agents smell: ``log(1 + phi) / 3``, same shape as the field."""
    return np.log1p(field) / np.float32(3.0)
