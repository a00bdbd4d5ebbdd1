"""The colony as a vectorised environment of stable-baselines3: one slot an agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv

from biomarl_tune.colony.lattice import NUM_MOVES
from biomarl_tune.colony.observation import NUM_COLUMNS
from biomarl_tune.colony.world import Colony
from biomarl_tune.experiment import Experiment


class ColonyVecEnv(VecEnv):
    """All agents of all worlds, stepped in one array."""

    def __init__(self, experiment: Experiment) -> None:
        self.colony = Colony(experiment.env, range(experiment.num_worlds))
        self.shape = (self.colony.worlds, experiment.env.num_agents)
        super().__init__(
            self.shape[0] * self.shape[1],
            gym.spaces.Box(-1.0, np.inf, (NUM_COLUMNS,), np.float32),
            gym.spaces.Discrete(NUM_MOVES),
        )

    def reset(self) -> np.ndarray:
        self.colony.reset(np.arange(self.shape[0]))
        return self._observe()

    def _observe(self) -> np.ndarray:
        obs = np.empty((*self.shape, NUM_COLUMNS), dtype=np.float32)
        self.colony.observe(obs)
        return obs.reshape(-1, NUM_COLUMNS)

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions.reshape(self.shape)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        transition = self.colony.step(self.actions)
        done = np.repeat(transition.done, self.shape[1])
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.any():
            final = self._observe()
            for slot in np.flatnonzero(done):
                infos[slot] = {"terminal_observation": final[slot], "TimeLimit.truncated": True}
            self.colony.reset(np.flatnonzero(transition.done))
        return self._observe(), transition.reward.ravel(), done, infos

    def close(self) -> None:
        """Nothing is held."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *args: Any, **kwargs: Any) -> list[Any]:
        return []

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> Sequence[bool]:
        return [False] * self.num_envs


class BaselinesPPO:
    """stable-baselines3's PPO with the experiment's settings."""

    def __init__(self, experiment: Experiment) -> None:
        ppo, hidden = experiment.ppo, [experiment.model.hidden_dim] * 2
        self.world = ColonyVecEnv(experiment)
        self.algorithm = PPO(
            "MlpPolicy",
            self.world,
            learning_rate=ppo.learning_rate,
            n_steps=ppo.rollout_steps,
            batch_size=ppo.minibatch_size,
            n_epochs=ppo.num_epochs,
            gamma=ppo.gamma,
            gae_lambda=ppo.gae_lambda,
            clip_range=ppo.clip,
            ent_coef=ppo.entropy_coefficient,
            vf_coef=ppo.value_coefficient,
            max_grad_norm=ppo.max_grad_norm,
            policy_kwargs={"net_arch": {"pi": hidden, "vf": hidden}},
            device="cpu",
        )
        self.batch = self.world.num_envs * ppo.rollout_steps

    def iterate(self) -> int:
        """Sample a batch, learn from it and return its agent steps."""
        self.algorithm.learn(self.batch, reset_num_timesteps=False)
        return self.batch
