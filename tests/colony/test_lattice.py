import itertools

import numpy as np
import pytest

from biomarl_tune.colony import lattice

GRID = (2, 1, 3)  # cells 0, 1, 2 at x = 0 and 3, 4, 5 at x = 1, z counting up in each


def test_coordinates_count_z_first():
    """The index counts up along z, then y, then x."""
    position = lattice.coordinates(GRID)

    assert position.tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 2], [1, 0, 0], [1, 0, 1], [1, 0, 2]]


@pytest.mark.parametrize("grid", [GRID, (4, 3, 3), (1, 1, 2), (3, 5, 1)])
def test_cell_index_undoes_coordinates(grid):
    """Every cell has the index that its coordinates lead back to."""
    cells = lattice.cell_index(lattice.coordinates(grid), grid)

    assert cells.tolist() == list(range(grid[0] * grid[1] * grid[2]))


def test_move_table_by_hand():
    """Moves lead to face neighbours, and a wall leaves the agent where it is."""
    table = lattice.move_table(GRID)  # columns: stay, +x, -x, +y, -y, +z, -z

    assert table.tolist() == [
        [0, 3, 0, 0, 0, 1, 0],
        [1, 4, 1, 1, 1, 2, 0],
        [2, 5, 2, 2, 2, 2, 1],
        [3, 3, 0, 3, 3, 4, 3],
        [4, 4, 1, 4, 4, 5, 3],
        [5, 5, 2, 5, 5, 5, 4],
    ]


def test_every_move_can_be_taken_back():
    """A move that is not stopped by a wall is undone by the opposite move."""
    table = lattice.move_table((4, 3, 3))

    for there, back in ((1, 2), (3, 4), (5, 6)):
        moved = np.flatnonzero(table[:, there] != np.arange(36))
        assert np.array_equal(table[table[moved, there], back], moved)


def test_nest_distance_by_hand():
    """The distance is that of walking along the axes from cell 0."""
    assert lattice.nest_distance(GRID).tolist() == [0, 1, 2, 1, 2, 3]


@pytest.mark.parametrize(
    ("grid", "far"), [(GRID, [2, 4, 5]), ((1, 1, 2), [1]), ((2, 2, 1), [1, 2, 3])]
)
def test_far_cells_by_hand(grid, far):
    """Far cells are at least half of the greatest distance away, so the nest is none."""
    assert lattice.far_cells(grid).tolist() == far


def test_neighbour_lists_by_hand():
    """A row holds the cell itself and those in range, padded at its end with C."""
    lists = lattice.neighbour_lists((1, 1, 3), 1.0)

    assert lists.tolist() == [[0, 1, 3], [0, 1, 2], [1, 2, 3]]


@pytest.mark.parametrize("grid", [GRID, (4, 3, 3), (1, 1, 2)])
@pytest.mark.parametrize("reach", [0.0, 0.9, 1.0, 1.5, 2.0, 100.0])
def test_neighbour_lists_equal_brute_force(grid, reach):
    """Two cells are neighbours where the Euclidean distance of their coordinates is in range."""
    cells = list(itertools.product(*(range(n) for n in grid)))
    expected = [
        [j for j, b in enumerate(cells) if np.linalg.norm(np.subtract(a, b)) <= reach]
        for a in cells
    ]

    lists = lattice.neighbour_lists(grid, reach)

    assert [[j for j in row if j < len(cells)] for row in lists.tolist()] == expected
    assert lists.max() <= len(cells)


def test_scaled_coordinates_span_minus_one_to_one():
    """Each axis is scaled to [-1, 1], and an axis of one cell stands at -1."""
    scaled = lattice.scaled_coordinates(GRID)

    assert scaled.dtype == np.float32
    assert scaled[[0, 1, 5]].tolist() == [[-1, -1, -1], [-1, -1, 0], [1, -1, 1]]
