"""The multi-agent face of one world, for stock RLlib algorithms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from ray.rllib.env.multi_agent_env import MultiAgentEnv

from biomarl_tune.colony.lattice import NUM_MOVES
from biomarl_tune.colony.observation import NUM_COLUMNS
from biomarl_tune.colony.world import Colony
from biomarl_tune.errors import InputError
from biomarl_tune.experiment import EnvSettings, describe

Observations = dict[str, NDArray[np.float32]]
Flags = dict[str, bool]


def observation_space() -> gym.spaces.Box:
    """Return the space of one agent's observation; pheromone has no upper bound."""
    return gym.spaces.Box(-1.0, np.inf, (NUM_COLUMNS,), np.float32)


def action_space() -> gym.spaces.Discrete[np.int64]:
    """Return the space of one agent's moves: stay or one of six directions."""
    return gym.spaces.Discrete(NUM_MOVES)


class ColonyEnv(MultiAgentEnv):
    """One colony as an RLlib environment in which every agent acts at every step.

    Episodes are truncated after ``max_episode_steps``; they never terminate.

    Args:
        config: settings of the world by name (those of ``EnvSettings``), empty for the defaults.

    Raises:
        InputError: a setting that does not exist, or a value that it does not take.

    Example:
        >>> env = ColonyEnv({"num_agents": 2})
        >>> observations, _ = env.reset(seed=0)
        >>> sorted(observations)
        ['agent_0', 'agent_1']
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self.settings = _validated(config or {})
        self.possible_agents = [f"agent_{agent}" for agent in range(self.settings.num_agents)]
        self.agents = list(self.possible_agents)
        self.observation_spaces = dict.fromkeys(self.possible_agents, observation_space())
        self.action_spaces = dict.fromkeys(self.possible_agents, action_space())
        super().__init__()
        self._colony: Colony | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, dict[str, Any]]]:
        """Begin an episode; without a seed the world's generator goes on where it is."""
        super().reset(seed=seed, options=options)
        if seed is None and self._colony is not None:
            self._colony.reset(np.arange(1))
        else:
            world_seed = int(self.np_random.integers(2**31)) if seed is None else seed
            self._colony = Colony(self.settings, [world_seed])
        self.agents = list(self.possible_agents)
        return self._observe(self._colony), {agent: {} for agent in self.agents}

    def step(
        self, action_dict: Mapping[str, int]
    ) -> tuple[Observations, dict[str, float], Flags, Flags, dict[str, dict[str, Any]]]:
        """Move every agent once.

        Raises:
            InputError: before the first reset, after the last step, or an agent has no action.
        """
        if self._colony is None or not self.agents:
            msg = "ColonyEnv.step: no episode is running, call reset() first"
            raise InputError(msg)
        missing = [agent for agent in self.agents if agent not in action_dict]
        if missing:
            msg = f"ColonyEnv.step: every agent must act, got no action for {missing[0]}"
            raise InputError(msg)
        moves = np.array([[action_dict[agent] for agent in self.agents]], dtype=np.int64)
        transition = self._colony.step(moves)
        done = bool(transition.done[0])
        rewards = dict(zip(self.agents, transition.reward[0].tolist(), strict=True))
        truncated = dict.fromkeys([*self.agents, "__all__"], done)
        terminated = dict.fromkeys(truncated, False)
        infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        if done:
            self.agents = []
        return self._observe(self._colony), rewards, terminated, truncated, infos

    def _observe(self, colony: Colony) -> Observations:
        columns = np.zeros((1, self.settings.num_agents, NUM_COLUMNS), dtype=np.float32)
        colony.observe(columns)
        return dict(zip(self.possible_agents, columns[0], strict=True))


def _validated(config: Mapping[str, Any]) -> EnvSettings:
    try:
        return EnvSettings.model_validate(dict(config))
    except ValidationError as error:
        msg = f"env.{describe(error)}"
        raise InputError(msg) from None
