"""The pheromone field: laid, evaporated, spread and read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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


def diffuse(
    field: NDArray[np.float32],  # [E, C]
    moves: NDArray[np.int64],  # [C, 7]
    *,
    share: float,
) -> None:
    """Spread a share of each cell evenly over its six face neighbours, in place.

    What would leave through a wall stays in the cell, so that the sum is kept.
    """
    arriving = field[:, moves[:, 1:]].mean(axis=2)
    field *= np.float32(1.0 - share)
    field += np.float32(share) * arriving


def scent(field: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what agents smell: ``log(1 + phi) / 3``, same shape as the field."""
    smell: NDArray[np.float32] = np.log1p(field)
    smell /= np.float32(3.0)
    return smell
