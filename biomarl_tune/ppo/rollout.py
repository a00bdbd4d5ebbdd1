"""Rollouts: E worlds of N agents that a policy steps, for sampling, evaluation and replay.

World *i* draws from generators of its own, so how worlds are split over processes or batched
changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biomarl_tune.brain.joined import FlatWeights, factors
from biomarl_tune.brain.policy import BioPolicy, PolicyOutput
from biomarl_tune.brain.step_pass import StepPass
from biomarl_tune.colony import lattice
from biomarl_tune.colony.observation import NUM_COLUMNS
from biomarl_tune.colony.world import Colony, Transition
from biomarl_tune.compiled import compiled
from biomarl_tune.experiment import EnvSettings

_WORLD_STREAM, _ACTION_STREAM = 1, 2  # not 0: a seed (s, i, 0) is the same as (s, i) to numpy


class Step(NamedTuple):
    """One step of all worlds; the next one overwrites the output."""

    obs: Tensor  # [E, N, 12] what was acted on
    cell: NDArray[np.int64]  # [E, N] where every agent was
    first: NDArray[np.bool_]  # [E] the step began an episode
    output: PolicyOutput
    actions: Tensor  # [E, N]
    logp: Tensor  # [E, N]
    transition: Transition


def choose(logits: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Sample moves by inverting the cumulative distribution.

    Args:
        logits: [..., 7].
        uniform: [...] numbers in [0, 1).

    Returns:
        The moves [...] and their log probabilities [...].
    """
    actions = torch.empty(uniform.shape, dtype=torch.int64)
    logp = torch.empty(uniform.shape)
    rows = logits.reshape(-1, lattice.NUM_MOVES).numpy()
    _choose(rows, uniform.reshape(-1).numpy(), actions.view(-1).numpy(), logp.view(-1).numpy())
    return actions, logp


@compiled
def _choose(
    logits: NDArray[np.float32],  # [B, 7]
    uniform: NDArray[np.float32],  # [B]
    actions: NDArray[np.int64],  # [B]
    logp: NDArray[np.float32],  # [B]
) -> None:
    last = logits.shape[1] - 1
    reached = np.empty(logits.shape[1], np.float32)  # the cumulative distribution, not normalised
    for row in range(logits.shape[0]):
        greatest = logits[row, 0]
        for move in range(1, last + 1):
            greatest = max(greatest, logits[row, move])
        total = np.float32(0.0)
        for move in range(last + 1):
            total += np.exp(logits[row, move] - greatest)
            reached[move] = total
        action = 0
        while action < last and reached[action] <= uniform[row] * total:
            action += 1
        actions[row] = action
        logp[row] = logits[row, action] - greatest - np.log(total)


class ActingColony:
    """Worlds, the memories of their agents and the generators that choose their moves.

    Args:
        env: the settings of the worlds.
        policy: the brain that acts; read, never written.
        seeds: one a world, each a sequence of integers.
    """

    def __init__(
        self, env: EnvSettings, policy: BioPolicy, seeds: Sequence[tuple[int, ...]]
    ) -> None:
        self.policy = policy
        self.colony = Colony(env, [(*seed, _WORLD_STREAM) for seed in seeds])
        self.generators = [np.random.default_rng((*seed, _ACTION_STREAM)) for seed in seeds]
        self.fresh = np.ones(len(seeds), dtype=np.bool_)  # [E] the next step begins an episode
        self._agents = env.num_agents
        self._step_pass = StepPass(policy, len(seeds))
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Act from now on with the weights that the brain has now."""
        self._weights = factors(FlatWeights.of(self.policy).parts)

    @property
    def memory(self) -> Tensor:
        """What the agents remember [E, N, K, V]; written in place."""
        return self._step_pass.memory

    @property
    def worlds(self) -> int:
        """Worlds stepped together (E)."""
        return self.colony.worlds

    def observe(self) -> Tensor:
        """Return what the agents observe now, [E, N, 12]."""
        columns = np.empty((NUM_COLUMNS, self.worlds, self._agents), dtype=np.float32)
        obs = columns.transpose(1, 2, 0)
        self.colony.observe(obs)
        return torch.from_numpy(obs)

    def draw(self, steps: int) -> Tensor:
        """Draw the chance of some steps to come: [steps, E, N] numbers in [0, 1)."""
        shape = (steps, self._agents)
        drawn = [generator.random(shape, dtype=np.float32) for generator in self.generators]
        return torch.from_numpy(np.stack(drawn, axis=1))

    def advance(self, uniform: Tensor, *, greedy: bool = False, idle: int = 0) -> Step:
        """Let every agent observe, think and move once.

        Args:
            uniform: [E, N] the chance of the moves.
            greedy: take the likeliest move instead.
            idle: so many agents, the first ones, stand still whatever they think.
        """
        obs, first = self.observe(), self.fresh
        cell = self.colony.state.cell.copy()
        output = self._step_pass.answer(self._weights, obs, cell)
        actions, logp = choose(output.logits, uniform)
        if greedy:
            actions = output.logits.argmax(dim=-1)
        if idle:
            actions[:, :idle] = lattice.STAY
        transition = self.colony.step(actions.numpy())
        self.fresh = np.zeros_like(first)
        return Step(obs, cell, first, output, actions, logp, transition)

    def values(self, worlds: NDArray[np.int64]) -> Tensor:
        """Return the values of what some worlds observe now, [len(worlds), N]."""
        obs, cell = self.observe()[worlds], self.colony.state.cell[worlds]
        step_pass = StepPass(self.policy, len(worlds))
        step_pass.memory.copy_(self.memory[worlds])
        return step_pass.answer(self._weights, obs, cell).value

    def begin_episodes(self, worlds: NDArray[np.int64]) -> None:
        """Reset some worlds and empty the memories of their agents."""
        self.colony.reset(worlds)
        self.memory[worlds] = 0.0
        self.fresh[worlds] = True
