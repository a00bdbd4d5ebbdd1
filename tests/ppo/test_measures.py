import dataclasses
import math

import numpy as np
import pytest

from biomarl_tune.ppo.measures import Measures, like_pairs, summed_trails, tally
from biomarl_tune.scalars import SCALARS


def test_merged_adds_sums_and_keeps_extremes():
    """Sums add up, the lowest and the highest return are those of all parts."""
    parts = [
        Measures(agent_steps=10, episodes=1, episode_length=5, return_min=5, return_max=5),
        Measures(agent_steps=20, reward=2.5),
        Measures(agent_steps=30, episodes=2, episode_length=4, return_min=1, return_max=3),
    ]

    total = Measures.merged(parts)

    assert total == Measures(
        agent_steps=60, reward=2.5, episodes=3, episode_length=9, return_min=1, return_max=5
    )
    assert parts[0].agent_steps == 10


def test_merging_forgets_no_field():
    """Every field of a single part survives the merging."""
    part = Measures(*range(1, 1 + len(dataclasses.fields(Measures))))

    assert Measures.merged([part]) == part


def test_returns_are_estimated_before_a_whole_episode_has_ended():
    """Without an episode the return is the rate times its length: 30 in 20 steps, 75 in 50."""
    measures = Measures(agent_steps=60, world_steps=20, reward=30, deliveries=4)

    scalars = measures.scalars(50)

    names = ("episode_return_mean", "episode_return_min", "episode_return_max")
    assert [scalars[name] for name in names] == [75, 75, 75]
    assert scalars["episode_len_mean"] == 50
    assert scalars["deliveries_per_episode"] == 10


def test_the_extremes_are_those_of_the_episodes_that_ended():
    """The mean is the rate times the episode's length all the same: it is of the brain of now."""
    measures = Measures(
        world_steps=20,
        reward=30,
        deliveries=4,
        episodes=2,
        episode_length=90,
        return_min=12,
        return_max=18,
    )

    scalars = measures.scalars(50)

    assert scalars["episode_return_mean"] == 75
    assert (scalars["episode_return_min"], scalars["episode_return_max"]) == (12, 18)
    assert scalars["episode_len_mean"] == 45
    assert scalars["deliveries_per_episode"] == 10


def test_rates_by_hand():
    """Norms and breakthroughs are per agent step, pheromone per world step, pairs per pair."""
    measures = Measures(
        agent_steps=200,
        world_steps=50,
        pheromone=10,
        coverage=5,
        memory_norm=100,
        message_norm=20,
        alike=3,
        pairs=12,
        breakthroughs=4,
    )

    scalars = measures.scalars(50)

    assert scalars["pheromone_strength"] == 0.2
    assert scalars["trail_coverage"] == 0.1
    assert scalars["plasticity_norm"] == 0.5
    assert scalars["message_norm"] == 0.1
    assert scalars["coordination"] == 0.25
    assert scalars["breakthrough_frequency"] == 20


def test_scalars_are_finite_even_of_nothing():
    """Nothing is divided by zero, and no infinity of an empty minimum is handed out."""
    scalars = Measures().scalars(50)

    assert set(scalars) <= set(SCALARS)
    assert all(math.isfinite(value) for value in scalars.values())


def test_like_pairs_by_hand():
    """Of three empty agents in a cell two move alike; the carrier beside them is not compared.

    Pairs are counted both ways: 3 * 2 of them, 2 * 1 alike.
    """
    cell = np.array([[4, 4, 4, 4, 2]])
    carrying = np.array([[False, False, False, True, False]])
    actions = np.array([[1, 1, 3, 1, 1]])

    assert like_pairs(cell, carrying, actions, 5) == (2.0, 6.0)


def test_like_pairs_equal_brute_force():
    """Both counts are those of comparing every two agents of every world."""
    generator = np.random.default_rng(0)
    cell, carrying = generator.integers(4, size=(5, 9)), generator.random((5, 9)) < 0.5
    actions = generator.integers(7, size=(5, 9))
    alike = pairs = 0
    for world in range(5):
        for i in range(9):
            for j in range(9):
                here, load, move = (x[world, i] == x[world, j] for x in (cell, carrying, actions))
                pairs += i != j and here and load
                alike += i != j and here and load and move

    assert like_pairs(cell, carrying, actions, 4) == (alike, pairs)


def test_uniform_moves_coordinate_by_chance():
    """Independent uniform moves of many agents in one cell are alike in a seventh of all pairs."""
    actions = np.random.default_rng(0).integers(7, size=(1, 4000))
    nowhere = np.zeros((1, 4000), dtype=np.int64)

    alike, pairs = like_pairs(nowhere, nowhere.astype(bool), actions, 1)

    assert alike / pairs == pytest.approx(1 / 7, rel=0.01)


def test_tally_by_hand():
    """Rewards, deliveries and the agents' breakthroughs add up; the colony's own is left out."""
    returns = np.array([1.0, 2.0])

    found = tally(
        np.array([[1.0, 0.5], [0.25, -1.0]], np.float32),
        np.array([[True, False], [True, True]]),
        np.array([[0.0, 3.0, 9.0], [1.0, 1.0, 0.0]], np.float32),
        returns,
    )

    assert found == (0.75, 3, 3)
    assert returns.tolist() == [2.5, 1.25]


def test_summed_trails_by_hand():
    """Of four cells two, then one, are above 1; the means are 2 and 0.75."""
    field = np.array([[0.0, 1.0, 2.0, 5.0], [0.0, 0.5, 0.5, 2.0]], np.float32)

    assert summed_trails(field, 1.0) == (2.75, 0.75)
