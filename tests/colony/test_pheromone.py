import math

import numpy as np
import pytest

from biomarl_tune.colony import pheromone
from biomarl_tune.colony.lattice import move_table


def test_age_by_hand():
    """The field is aged first; carriers then lay their share on top of what every visit lays."""
    field = np.array([[4.0, 2.0, 0.0], [0.0, 0.0, 8.0]], dtype=np.float32)
    cell = np.array([[0, 2, 2], [1, 1, 1]])
    carrying = np.array([[True, True, False], [False, False, True]])

    pheromone.age(field, cell, carrying, carrier=1.0, visit=0.25, decay=0.5)

    assert field.tolist() == [[3.25, 1.0, 1.5], [0.0, 1.75, 4.0]]


def test_diffuse_by_hand():
    """Of two cells in a row one sixth of the share passes over, the rest meets walls."""
    field = np.array([[6.0, 0.0]], dtype=np.float32)

    pheromone.diffuse(field, move_table((1, 1, 2)), share=0.6)

    assert field == pytest.approx(np.array([[5.4, 0.6]]))


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_diffuse_keeps_the_sum(share):
    """What leaves one cell arrives in another, whatever the walls."""
    field = np.random.default_rng(0).random((3, 12), dtype=np.float32)
    before = field.sum(axis=1)

    pheromone.diffuse(field, move_table((3, 2, 2)), share=share)

    assert field.sum(axis=1) == pytest.approx(before, rel=1e-6)
    assert field.min() >= 0.0


def test_diffuse_levels_the_field():
    """A single heap is spread until every cell holds the same."""
    field = np.zeros((1, 8), dtype=np.float32)
    field[0, 0] = 8.0

    for _ in range(200):
        pheromone.diffuse(field, move_table((2, 2, 2)), share=0.5)

    assert field == pytest.approx(np.ones((1, 8)), rel=1e-5)


def test_scent_by_hand():
    """The scent is log(1 + phi) / 3, so that no pheromone smells of nothing."""
    field = np.array([[0.0, math.e - 1.0, math.e**3 - 1.0]], dtype=np.float32)

    smell = pheromone.scent(field)

    assert smell == pytest.approx(np.array([[0.0, 1 / 3, 1.0]]))
    assert field[0, 0] == 0.0
    assert field[0, 1] == pytest.approx(math.e - 1.0)
