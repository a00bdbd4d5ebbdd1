"""The 3-D lattice: cell indices, coordinates, moves and neighbourhoods.

Letters: C cells, K most neighbours of a cell. Cell ``(x, y, z)`` has the index
``(x * Y + y) * Z + z``; the nest is cell 0, the corner.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Grid: TypeAlias = tuple[int, int, int]

MOVES = ((0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))
NUM_MOVES = len(MOVES)
STAY = 0  # the move that is none
NEST = 0


def coordinates(grid: Grid) -> NDArray[np.int64]:  # [C, 3]
    """Return the (x, y, z) of every cell, in cells."""
    cells = np.arange(np.prod(grid), dtype=np.int64)
    return np.stack(np.unravel_index(cells, grid), axis=1)


def cell_index(position: NDArray[np.int64], grid: Grid) -> NDArray[np.int64]:
    """Return the index of the cell at each (x, y, z) [..., 3], in cells."""
    x, y, z = np.moveaxis(position, -1, 0)
    cell: NDArray[np.int64] = (x * grid[1] + y) * grid[2] + z
    return cell


def move_table(grid: Grid) -> NDArray[np.int64]:  # [C, 7]
    """Return the cell that each move leads to; a wall leaves the agent where it is."""
    position = coordinates(grid)[:, None, :] + np.array(MOVES)[None]
    inside = ((position >= 0) & (position < np.array(grid))).all(axis=2)
    position = np.where(inside[..., None], position, coordinates(grid)[:, None, :])
    return cell_index(position, grid)


def nest_distance(grid: Grid) -> NDArray[np.int64]:  # [C]
    """Return the Manhattan distance of every cell from the nest, in moves."""
    distance: NDArray[np.int64] = coordinates(grid).sum(axis=1)
    return distance


def far_cells(grid: Grid) -> NDArray[np.int64]:
    """Return the cells at least half of the greatest distance from the nest away from it."""
    distance = nest_distance(grid)
    return np.flatnonzero(2 * distance >= distance.max())


def neighbour_lists(grid: Grid, reach: float) -> NDArray[np.int64]:  # [C, K]
    """Return the cells within a Euclidean distance of each cell, itself included.

    Args:
        grid: cells along x, y, z.
        reach: greatest distance, in cells.

    Returns:
        Rows padded at the end with C, an index one past the last cell.
    """
    span = [np.arange(-min(int(reach), n - 1), min(int(reach), n - 1) + 1) for n in grid]
    offsets = np.stack(np.meshgrid(*span, indexing="ij"), axis=-1).reshape(-1, 3)
    offsets = offsets[(offsets**2).sum(axis=1) <= reach**2]
    position = coordinates(grid)[:, None, :] + offsets[None]
    inside = ((position >= 0) & (position < np.array(grid))).all(axis=2)
    cells = cell_index(np.where(inside[..., None], position, 0), grid)
    return np.sort(np.where(inside, cells, int(np.prod(grid))), axis=1)


def scaled_coordinates(grid: Grid) -> NDArray[np.float32]:  # [C, 3]
    """Return the coordinates of every cell, scaled to [-1, 1] along each axis."""
    span = np.maximum(np.array(grid) - 1, 1)
    scaled: NDArray[np.float64] = 2.0 * coordinates(grid) / span - 1.0
    return scaled.astype(np.float32)
