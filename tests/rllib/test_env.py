"""The multi-agent face of one world."""

import numpy as np
import pytest

from biomarl_tune.colony.world import Colony
from biomarl_tune.errors import InputError
from biomarl_tune.experiment import EnvSettings
from biomarl_tune.rllib.env import ColonyEnv

CONFIG = {"num_agents": 3, "grid_size": (3, 2, 2), "max_episode_steps": 5}


def moves(env, generator):
    """Return a random move for every agent."""
    return {agent: int(generator.integers(7)) for agent in env.agents}


def play(env, seed, steps):
    """Return the observations and rewards of some steps of random moves."""
    generator = np.random.default_rng(seed)
    observations, _ = env.reset(seed=seed)
    seen = [np.stack(list(observations.values()))]
    for _ in range(steps):
        observations, rewards, *_ = env.step(moves(env, generator))
        seen.append(np.stack(list(observations.values())))
        seen.append(np.array(list(rewards.values())))
    return seen


def test_agents_are_those_that_are_possible_until_the_episode_ends():
    """All agents live through the whole episode, then none is left until the next reset."""
    env = ColonyEnv(CONFIG)
    generator = np.random.default_rng(0)
    env.reset(seed=0)
    for _ in range(5):
        assert env.agents == env.possible_agents == ["agent_0", "agent_1", "agent_2"]
        env.step(moves(env, generator))
    assert env.agents == []
    env.reset()
    assert env.agents == env.possible_agents


def test_observations_lie_in_their_space():
    """Each agent observes 12 float32 numbers of its observation space at every step."""
    env = ColonyEnv({**CONFIG, "max_episode_steps": 50, "visit_deposit": 5.0})
    generator = np.random.default_rng(1)
    observations, infos = env.reset(seed=1)
    for _ in range(50):
        assert set(observations) == set(infos) == set(env.possible_agents)
        for agent, observation in observations.items():
            assert env.get_observation_space(agent).contains(observation)
        observations, _, _, _, infos = env.step(moves(env, generator))


def test_the_same_seed_gives_the_same_trajectory():
    """Two environments with one seed agree step for step, another seed differs."""
    config = {**CONFIG, "max_episode_steps": 100, "patch_units": 1}
    first, second, other = (play(ColonyEnv(config), seed, 60) for seed in (7, 7, 8))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_a_seed_gives_the_world_of_that_seed():
    """The environment is one world of the colony, nothing more."""
    env = ColonyEnv(CONFIG)
    env.reset(seed=5)
    _, rewards, *_ = env.step(dict.fromkeys(env.agents, 1))
    colony = Colony(EnvSettings(**CONFIG), [5])
    transition = colony.step(np.ones((1, 3), dtype=np.int64))
    assert list(rewards.values()) == transition.reward[0].tolist()
    assert np.array_equal(env._colony.state.food_cell, colony.state.food_cell)


def test_episodes_are_truncated_at_their_last_step():
    """No step but the fifth of five truncates, and none terminates."""
    env = ColonyEnv(CONFIG)
    env.reset(seed=0)
    ends = []
    for _ in range(5):
        _, _, terminated, truncated, _ = env.step(dict.fromkeys(env.agents, 0))
        assert set(truncated) == set(terminated) == {*env.possible_agents, "__all__"}
        assert not any(terminated.values())
        ends.append(truncated["__all__"])
    assert ends == [False, False, False, False, True]


def test_a_reset_without_a_seed_begins_another_episode():
    """The agents are back in the nest and the clock is at zero."""
    env = ColonyEnv(CONFIG)
    start, _ = env.reset(seed=0)
    env.step(dict.fromkeys(env.agents, 1))
    again, _ = env.reset()
    assert np.array_equal(start["agent_0"], again["agent_0"])
    assert env._colony.state.step[0] == 0


def test_a_setting_that_does_not_exist_is_refused():
    """The error names the setting."""
    with pytest.raises(InputError, match=r"env\.pheromone_dcay: there is no such setting"):
        ColonyEnv({"pheromone_dcay": 0.5})


@pytest.mark.parametrize("reset", [False, True])
def test_a_step_that_cannot_be_taken_is_refused(reset):
    """Neither before the first reset nor without a move for every agent."""
    env = ColonyEnv(CONFIG)
    if reset:
        env.reset(seed=0)
    with pytest.raises(InputError, match=r"call reset\(\) first|no action for agent_1"):
        env.step({"agent_0": 0})
