"""The colony's world.

``golden/world.json`` holds a whole trajectory, observations included. After a wanted change of the
rules, write it anew with ``python tests/colony/test_world.py`` and read the difference.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from biomarl_tune.colony import lattice
from biomarl_tune.colony.world import Colony
from biomarl_tune.experiment import EnvSettings

GOLDEN = Path(__file__).parent / "golden" / "world.json"
BUSY = EnvSettings(
    num_agents=6,
    grid_size=(2, 2, 1),
    max_episode_steps=40,
    communication_range=1.0,
    pheromone_decay=0.7,
    visit_deposit=0.1,
    pheromone_diffusion=0.2,
    food_patches=2,
    patch_units=1,
    shared_delivery_reward=0.1,
    breakthrough_window=3,
    breakthrough_threshold=1.0,
)


def fields(state):
    """Return the arrays of a state by name, worlds first, those of its history among them."""
    history = vars(state.history)
    arrays = {name: array for name, array in vars(state).items() if name != "history"}
    return {**arrays, **history, "rewards": np.moveaxis(history["rewards"], 1, 0)}


def observe(colony):
    """Return what the agents of a colony observe now, [E, N, 12]."""
    out = np.full((colony.worlds, colony.env.num_agents, 12), np.nan, dtype=np.float32)
    colony.observe(out)
    return out


def step(colony, actions):
    """Step once, begin new episodes where they ended, and return the transition."""
    transition = colony.step(actions)
    ended = np.flatnonzero(transition.done)
    if ended.size:
        colony.reset(ended)
    return transition


def place(colony, *, cells, food, units, carrying=None):
    """Put the agents and the one patch of a single world where a test wants them."""
    colony.state.cell[0] = cells
    colony.state.food_cell[0, 0] = food
    colony.state.food_units[0, 0] = units
    colony.state.carrying[0] = False if carrying is None else carrying


def row(num_agents, **settings):
    """Return a colony on three cells in a row, the nest at one end; cells 1 and 2 are far."""
    env = EnvSettings(num_agents=num_agents, grid_size=(3, 1, 1), **settings)
    return Colony(env, [0])


STAY, UP, DOWN = 0, 1, 2


@pytest.mark.parametrize("agents", [6, 1])
def test_a_world_of_a_batch_equals_that_world_alone(agents):
    """Every field agrees bit for bit over several episodes, used-up patches and new draws."""
    env = BUSY.model_copy(update={"num_agents": agents, "food_patches": 12 // agents})
    together = Colony(env, [(7, 0), (7, 1), (7, 2)])
    alone = [Colony(env, [(7, i)]) for i in range(3)]
    for i, colony in enumerate(alone):
        together.state.step[i] = colony.state.step[0] = 10 * i  # episodes end one after another
    moves, refills = np.random.default_rng(0), 0
    for _ in range(400):
        actions = moves.integers(7, size=(3, agents))
        cursor = together.state.cursor.copy()

        transition = step(together, actions)

        refills += (together.state.cursor < cursor).sum()
        seen = observe(together)
        for i, colony in enumerate(alone):
            apart = step(colony, actions[i : i + 1])
            for name, array in vars(transition).items():
                assert np.array_equal(array[i], getattr(apart, name)[0]), name
            for name, array in fields(together.state).items():
                assert np.array_equal(array[i], fields(colony.state)[name][0]), name
            assert np.array_equal(seen[i], observe(colony)[0])
    assert refills >= 3


@pytest.mark.parametrize(
    "env",
    [
        EnvSettings(patch_units=5),
        BUSY,
        EnvSettings(num_agents=5, grid_size=(5, 5, 5), food_patches=70, patch_units=1),
    ],
    ids=["default", "busy", "sparse"],
)
def test_the_compiled_rules_are_the_plain_ones(env, plain_colony):
    """Transitions, observations and food agree with plain numpy over several episodes."""
    seeds = [(7, i) for i in range(3)]
    compiled, plain = Colony(env, seeds), plain_colony(env, seeds)
    moves, exhausted = np.random.default_rng(0), 0
    for _ in range(300):
        actions = moves.integers(7, size=(3, env.num_agents))
        cells = plain.state.food_cell.copy()

        found, expected = step(compiled, actions), step(plain, actions)

        exhausted += (cells != plain.state.food_cell).sum()
        for name, array in vars(expected).items():
            np.testing.assert_allclose(getattr(found, name), array, atol=2e-6, err_msg=name)
        for name in ("cell", "carrying", "food_cell", "food_units", "step"):
            assert np.array_equal(getattr(compiled.state, name), getattr(plain.state, name)), name
        np.testing.assert_allclose(compiled.state.pheromone, plain.state.pheromone, rtol=1e-5)
        np.testing.assert_allclose(observe(compiled), observe(plain), rtol=1e-5)
    assert exhausted > 0


def trajectory():
    """Return 20 steps of a small world by name, each as nested lists."""
    env = BUSY.model_copy(update={"num_agents": 3, "grid_size": (2, 2, 2), "patch_units": 2})
    colony, moves = Colony(env, [(1, 2)]), np.random.default_rng(3)
    steps = []
    for _ in range(20):
        actions = moves.integers(7, size=(1, 3))
        transition = step(colony, actions)
        state = colony.state
        names = ("cell", "carrying", "pheromone", "food_cell", "food_units")
        arrays = {
            "actions": actions,
            "reward": transition.reward,
            "breakthrough": transition.breakthrough,
            "observation": observe(colony),
            **{name: getattr(state, name) for name in names},
        }
        steps.append({name: np.round(1.0 * array[0], 6).tolist() for name, array in arrays.items()})
    return steps


def test_golden_trajectory():
    """A small world goes the way that it went when the golden file was written."""
    golden = json.loads(GOLDEN.read_text())

    steps = trajectory()

    assert sum(sum(s["carrying"]) for s in golden) > 0
    for t, (now, then) in enumerate(zip(steps, golden, strict=True)):
        assert now.keys() == then.keys()
        for name, value in then.items():
            assert np.array(now[name]) == pytest.approx(np.array(value), abs=2e-6), (t, name)


def test_food_is_conserved():
    """What was picked up is carried or delivered, and what is gone was picked up."""
    env = BUSY.model_copy(update={"patch_units": 5, "max_episode_steps": 10_000})
    colony, moves = Colony(env, [1, 2]), np.random.default_rng(0)
    picked, delivered = np.zeros(2, dtype=int), np.zeros(2, dtype=int)
    for _ in range(300):
        transition = colony.step(moves.integers(7, size=(2, 6)))

        picked += transition.picked.sum(axis=1)
        delivered += transition.delivered.sum(axis=1)
        assert np.array_equal(picked - delivered, colony.state.carrying.sum(axis=1))
        assert np.array_equal((picked + colony.state.food_units.sum(axis=1)) % 5, [0, 0])
    assert delivered.min() > 20


def test_the_lowest_numbers_load_first():
    """Of three empty agents on two units, the first two load and the last stays empty."""
    colony = row(4)
    place(colony, cells=[2, 2, 2, 2], food=2, units=2, carrying=[True, False, False, False])

    transition = colony.step(np.array([[STAY] * 4]))

    assert transition.picked.tolist() == [[False, True, True, False]]
    assert colony.state.carrying.tolist() == [[True, True, True, False]]


def test_an_exhausted_patch_reappears_full_elsewhere():
    """The last unit taken, a full patch stands in the other far cell."""
    colony = row(1, patch_units=9)
    place(colony, cells=[2], food=2, units=1)

    colony.step(np.array([[STAY]]))

    assert colony.state.food_cell.tolist() == [[1]]
    assert colony.state.food_units.tolist() == [[9]]


def test_patches_lie_in_every_far_cell_and_never_stay():
    """Over many exhaustions each far cell is drawn, none twice in a row, and none that is near."""
    colony = Colony(EnvSettings(num_agents=1, grid_size=(4, 3, 3), patch_units=1), [0])
    places = []
    for _ in range(400):
        food = colony.state.food_cell[0, 0]
        place(colony, cells=[food], food=food, units=1)
        colony.step(np.array([[STAY]]))
        places.append(food)

    assert set(places) == set(lattice.far_cells((4, 3, 3)))
    assert all(a != b for a, b in itertools.pairwise(places))


def test_any_far_cell_can_hold_the_first_patch():
    """The first patches of many worlds are spread evenly over the far cells."""
    far = lattice.far_cells((2, 2, 2))
    colony = Colony(EnvSettings(grid_size=(2, 2, 2)), range(800))

    cells, counts = np.unique(colony.state.food_cell, return_counts=True)

    assert np.array_equal(cells, far)
    assert counts.min() > 150  # 200 each


def test_unloading_in_the_nest():
    """A carrier that enters the nest unloads and is paid, an empty agent is not."""
    colony = row(2, delivery_reward=1.0, step_reward=-0.25)
    place(colony, cells=[1, 1], food=2, units=5, carrying=[True, False])

    transition = colony.step(np.array([[DOWN, DOWN]]))

    assert colony.state.cell.tolist() == [[0, 0]]
    assert transition.delivered.tolist() == [[True, False]]
    assert transition.reward.tolist() == [[0.75, -0.25]]
    assert not colony.state.carrying.any()


def test_a_carrier_loads_no_more():
    """An agent with a load that enters the patch takes nothing."""
    colony = row(1)
    place(colony, cells=[1], food=2, units=5, carrying=[True])

    transition = colony.step(np.array([[UP]]))

    assert not transition.picked.any()
    assert colony.state.food_units.tolist() == [[5]]


def test_pheromone_by_hand():
    """A carrier lays where it arrives, one step later the trail behind it is halved."""
    colony = row(2, pheromone_decay=0.5, carrier_deposit=1.0, visit_deposit=0.25)
    place(colony, cells=[2, 2], food=2, units=1, carrying=[True, False])

    colony.step(np.array([[DOWN, DOWN]]))
    after_one = colony.state.pheromone.tolist()
    colony.step(np.array([[DOWN, STAY]]))

    assert after_one == [[0.0, 1.5, 0.0]]
    assert colony.state.pheromone.tolist() == [[0.25, 1.0, 0.0]]  # unloaded: a visit alone


def test_observation_by_hand():
    """Agents see their place, the scent around them, their load and the others in range."""
    colony = row(3, communication_range=1.0)
    place(colony, cells=[0, 1, 1], food=2, units=5, carrying=[False, True, False])
    colony.state.pheromone[0] = [0.0, np.e - 1.0, np.e**3 - 1.0]
    third = 1 / 3

    seen = observe(colony)

    assert seen[0] == pytest.approx(
        np.array(
            [
                [-1, -1, -1, 0, third, 0, 0, 0, 0, 0, 0, 1],
                [0, -1, -1, third, 1, 0, third, third, third, third, 1, 1],
                [0, -1, -1, third, 1, 0, third, third, third, third, 0, 1],
            ]
        ),
        abs=1e-6,
    )


def test_an_episode_ends_at_its_last_step():
    """The step that reaches the limit is done, and the reset leaves agents at home and no trail."""
    colony = row(2, max_episode_steps=2)
    first = colony.step(np.array([[UP, UP]]))
    second = colony.step(np.array([[UP, UP]]))

    colony.reset(np.array([0]))

    assert (first.done.tolist(), second.done.tolist()) == ([False], [True])
    assert colony.state.step.tolist() == [0]
    assert not colony.state.cell.any()
    assert not colony.state.carrying.any()
    assert not colony.state.pheromone.any()
    assert colony.state.food_units.tolist() == [[120]]


def test_reset_leaves_other_worlds_alone():
    """Resetting one world changes nothing of the next."""
    colony, moves = Colony(BUSY, [0, 1]), np.random.default_rng(0)
    for _ in range(20):
        colony.step(moves.integers(7, size=(2, 6)))
    before = {name: array[1].copy() for name, array in fields(colony.state).items()}

    colony.reset(np.array([0]))

    for name, array in fields(colony.state).items():
        assert np.array_equal(array[1], before[name]), name


SETTINGS = {
    "default": {},
    "visits are marked": {"visit_deposit": 0.5},
    "pheromone spreads": {"pheromone_diffusion": 1.0},
    "several patches": {"food_patches": 5, "patch_units": 1},
    "two cells": {"grid_size": (1, 1, 2), "food_patches": 3},
    "one agent": {"num_agents": 1},
    "deaf": {"communication_range": 0.0},
    "shared reward": {"shared_delivery_reward": 1.0},
    "nothing evaporates": {"pheromone_decay": 1.0},
    "short windows": {"breakthrough_window": 1, "breakthrough_threshold": 0.0},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_every_world_conforms(settings):
    """Whatever the settings, two episodes of random moves keep the rules of the world."""
    small = {"num_agents": 5, "grid_size": (3, 2, 2), "max_episode_steps": 60, "patch_units": 3}
    env = EnvSettings(**{**small, **settings})
    colony, moves = Colony(env, range(3)), np.random.default_rng(0)
    check_start(colony)
    for t in range(120):
        before = fields(colony.state)["cell"].copy()
        actions = moves.integers(7, size=(3, env.num_agents))
        transition = colony.step(actions)
        check_step(colony, before, actions, transition)
        assert transition.done.tolist() == [(t + 1) % 60 == 0] * 3
        if transition.done.any():
            colony.reset(np.arange(3))
            check_start(colony)


def check_start(colony):
    """Check that an episode begins with agents at home, full patches far away and no trail."""
    state, env = colony.state, colony.env
    assert not any(array.any() for array in (state.cell, state.carrying, state.pheromone))
    assert not state.step.any()
    assert (state.food_units == env.patch_units).all()
    assert np.isin(state.food_cell, lattice.far_cells(env.grid_size)).all()


def check_step(colony, before, actions, transition):
    """Check the rules that hold after any step."""
    state, env = colony.state, colony.env
    assert np.array_equal(state.cell, lattice.move_table(env.grid_size)[before, actions])
    assert np.isin(state.food_cell, lattice.far_cells(env.grid_size)).all()
    assert ((state.food_units >= 1) & (state.food_units <= env.patch_units)).all()
    assert not (transition.picked & transition.delivered).any()
    assert not (transition.delivered & (state.cell != lattice.NEST)).any()
    assert not (state.carrying & (state.cell == lattice.NEST)).any()
    assert (state.carrying >= transition.picked).all()
    assert transition.breakthrough.shape == (3, env.num_agents + 1)
    assert (transition.breakthrough >= 0).all()
    assert (state.pheromone >= 0).all()
    for array in (transition.reward, state.pheromone, transition.breakthrough):
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
    seen = observe(colony)
    assert np.isfinite(seen).all()
    assert (np.abs(seen[..., :3]) <= 1).all()
    assert np.isin(seen[..., 10], [0, 1]).all()
    assert ((seen[..., 11] >= 0) & (seen[..., 11] <= 1)).all()


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(trajectory(), separators=(",", ":")) + "\n")
