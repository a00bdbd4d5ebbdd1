"""Sampling: T steps of the experiment's worlds -> a train batch with advantages."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biomarl_tune.brain.breakthrough import upcoming
from biomarl_tune.brain.policy import BioPolicy
from biomarl_tune.colony.observation import NUM_COLUMNS
from biomarl_tune.experiment import Experiment, PPOSettings
from biomarl_tune.ppo.advantages import generalised_advantages
from biomarl_tune.ppo.losses import Batch
from biomarl_tune.ppo.measures import (
    Measures,
    like_pairs,
    summed_norms,
    summed_trails,
    tally,
)
from biomarl_tune.ppo.rollout import ActingColony, Step

_TRAIL = 0.1  # pheromone, as a share of a carrier's deposit, above which a cell is on a trail


@dataclass(frozen=True)
class _Trajectory:
    """T steps of E worlds, time first, filled step by step."""

    obs: NDArray[np.float32]  # [T, E, N, 12]
    first: NDArray[np.bool_]  # [T, E]
    last: NDArray[np.bool_]  # [T, E]
    actions: NDArray[np.int64]  # [T, E, N]
    logp: NDArray[np.float32]  # [T, E, N]
    value: NDArray[np.float32]  # [T, E, N]
    next_value: NDArray[np.float32]  # [T, E, N] of what came after the step, before any reset
    reward: NDArray[np.float32]  # [T, E, N]
    event: NDArray[np.bool_]  # [T, E, N] a breakthrough

    @classmethod
    def empty(cls, steps: int, worlds: int, agents: int) -> _Trajectory:
        shape = (steps, worlds, agents)
        return cls(
            obs=np.empty((*shape, NUM_COLUMNS), np.float32),
            first=np.empty(shape[:2], np.bool_),
            last=np.empty(shape[:2], np.bool_),
            actions=np.empty(shape, np.int64),
            logp=np.empty(shape, np.float32),
            value=np.empty(shape, np.float32),
            next_value=np.empty(shape, np.float32),
            reward=np.empty(shape, np.float32),
            event=np.empty(shape, np.bool_),
        )

    def record(self, t: int, step: Step) -> None:
        self.obs[t] = step.obs.numpy()
        self.first[t] = step.first
        self.last[t] = step.transition.done
        self.actions[t] = step.actions.numpy()
        self.logp[t] = step.logp.numpy()
        self.value[t] = step.output.value.numpy()
        self.reward[t] = step.transition.reward
        np.greater(step.transition.breakthrough[:, :-1], 0.0, out=self.event[t])

    def look_ahead(self) -> None:
        """Take the value of the next step wherever the episode goes on."""
        going = ~self.last[:-1]
        self.next_value[:-1][going] = self.value[1:][going]

    def batch(self, memory: Tensor, ppo: PPOSettings) -> Batch:
        """Turn the steps into a train batch, worlds first."""
        reward, value, next_value, last, event, first = (
            torch.from_numpy(x)
            for x in (self.reward, self.value, self.next_value, self.last, self.event, self.first)
        )
        advantages = generalised_advantages(
            reward,
            value,
            next_value,
            last[..., None],
            gamma=ppo.gamma,
            gae_lambda=ppo.gae_lambda,
        )
        event, first = event.transpose(0, 1), first.T
        labels, known = upcoming(event, first, horizon=ppo.detector_horizon)
        columns = {
            "obs": torch.from_numpy(self.obs),
            "actions": torch.from_numpy(self.actions),
            "logp": torch.from_numpy(self.logp),
            "values": value,
            "advantages": advantages,
            "returns": advantages + value,
        }
        worlds_first = {name: x.transpose(0, 1).contiguous() for name, x in columns.items()}
        return {
            **worlds_first,
            "first": first.contiguous(),
            "memory": memory,
            "labels": labels,
            "label_mask": known,
        }


class Sampler:
    """Step some of an experiment's worlds and hand out train batches.

    Worlds start staggered over the episode, so that a batch holds all its phases; the shortened
    first episodes do not count among those that ended.

    Args:
        experiment: the settings.
        policy: the brain that acts; read, never written.
        worlds: which of the experiment's worlds; all of them by default.
    """

    def __init__(
        self, experiment: Experiment, policy: BioPolicy, worlds: Sequence[int] | None = None
    ) -> None:
        chosen = range(experiment.num_worlds) if worlds is None else worlds
        self.experiment = experiment
        self.acting = ActingColony(experiment.env, policy, [(experiment.seed, i) for i in chosen])
        stagger = experiment.env.max_episode_steps / experiment.num_worlds
        self.acting.colony.state.step[:] = [int(i * stagger) for i in chosen]
        self._whole = self.acting.colony.state.step == 0  # [E] seen from its beginning
        self._return = np.zeros(len(chosen))  # [E] of the running episode

    @torch.no_grad()
    def sample(self) -> tuple[Batch, Measures]:
        """Step every world T times.

        Returns:
            The batch, worlds first (``obs`` [E, T, N, 12], ``first`` [E, T], ``memory``
            [E, N, K, V] before the first step and, [E, T, N] each, ``actions``, ``logp``,
            ``values``, ``advantages``, ``returns``, ``labels``, ``label_mask``), and what was
            measured.
        """
        acting, ppo = self.acting, self.experiment.ppo
        acting.refresh()
        steps, worlds = ppo.rollout_steps, acting.worlds
        trajectory = _Trajectory.empty(steps, worlds, self.experiment.env.num_agents)
        memory, measures = acting.memory.clone(), Measures()
        chance, cells = acting.draw(steps), self.experiment.env.num_cells
        for t in range(steps):
            carrying = acting.colony.state.carrying.copy()
            step = acting.advance(chance[t])
            trajectory.record(t, step)
            alike, pairs = like_pairs(step.cell, carrying, step.actions.numpy(), cells)
            measures.alike += alike
            measures.pairs += pairs
            self._measure(measures, step)
            ended = np.flatnonzero(step.transition.done)
            if ended.size:
                trajectory.next_value[t, ended] = acting.values(ended).numpy()
                self._count_episodes(measures, ended)
                acting.begin_episodes(ended)
        going = np.flatnonzero(~acting.fresh)
        if going.size:
            trajectory.next_value[-1, going] = acting.values(going).numpy()
        trajectory.look_ahead()
        return trajectory.batch(memory, ppo), measures

    def _measure(self, measures: Measures, step: Step) -> None:
        transition, output = step.transition, step.output
        measures.agent_steps += transition.reward.size
        measures.world_steps += self.acting.worlds
        earned, deliveries, breakthroughs = tally(
            transition.reward, transition.delivered, transition.breakthrough, self._return
        )
        measures.reward += earned
        measures.deliveries += deliveries
        measures.breakthroughs += breakthroughs
        strength, above = summed_trails(
            self.acting.colony.state.pheromone, _TRAIL * self.experiment.env.carrier_deposit
        )
        measures.pheromone += strength
        measures.coverage += above
        if output.gate is not None:
            measures.memory_norm += summed_norms(_columns(self.acting.memory.flatten(2)))
        if output.message is not None:
            measures.message_norm += summed_norms(_columns(output.message))

    def _count_episodes(self, measures: Measures, ended: np.ndarray[Any, Any]) -> None:
        whole = ended[self._whole[ended]]
        if whole.size:
            returns = self._return[whole]
            measures.episodes += whole.size
            measures.episode_length += float(self.acting.colony.state.step[whole].sum())
            measures.return_min = min(measures.return_min, float(returns.min()))
            measures.return_max = max(measures.return_max, float(returns.max()))
        self._whole[ended] = True
        self._return[ended] = 0.0

    def get_state(self) -> bytes:
        """Return all that the coming samples depend on, for a checkpoint of this very run."""
        acting = self.acting
        return pickle.dumps(
            {
                "state": acting.colony.state,
                "worlds": [g.bit_generator.state for g in acting.colony.generators],
                "moves": [g.bit_generator.state for g in acting.generators],
                "memory": acting.memory.numpy(),
                "fresh": acting.fresh,
                "whole": self._whole,
                "return": self._return,
            }
        )

    def set_state(self, saved: bytes) -> None:
        """Continue where ``get_state`` was called."""
        state = pickle.loads(saved)  # noqa: S301 - of this run; its manifest was verified
        acting = self.acting
        acting.colony.state = state["state"]
        for generators, states in (
            (acting.colony.generators, state["worlds"]),
            (acting.generators, state["moves"]),
        ):
            for generator, saved_state in zip(generators, states, strict=True):
                generator.bit_generator.state = saved_state
        acting.memory.copy_(torch.from_numpy(state["memory"]))  # keeps the layout
        acting.fresh = state["fresh"]
        self._whole, self._return = state["whole"], state["return"]


def _columns(vectors: Tensor) -> NDArray[np.float32]:
    """Return [E, N, W] as [W, E N]."""
    return vectors.permute(2, 0, 1).flatten(1).numpy()
