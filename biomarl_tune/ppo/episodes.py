"""Whole episodes of a policy on given seeds, all of them in one batch of worlds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from biomarl_tune.brain.policy import BioPolicy
from biomarl_tune.experiment import EnvSettings
from biomarl_tune.ppo.rollout import ActingColony


@dataclass(frozen=True)
class Episodes:
    """What B whole episodes brought; each field is [B]."""

    returns: NDArray[np.float64]  # colony return: rewards summed over agents and steps
    deliveries: NDArray[np.int64]  # food units
    length: NDArray[np.int64]  # steps
    breakthroughs: NDArray[np.int64]  # of agents


@torch.no_grad()
def play(
    env: EnvSettings,
    policy: BioPolicy,
    seeds: Sequence[tuple[int, ...]],
    *,
    greedy: bool = False,
    idle: int = 0,
) -> Episodes:
    """Play one whole episode a seed.

    Args:
        env: the settings of the worlds.
        policy: the brain that acts.
        seeds: one an episode, each a sequence of integers; the same seed gives the same episode
            whatever is played beside it.
        greedy: take the likeliest moves instead of sampling as in training.
        idle: agents that fail: they stand in the nest from the first step to the last.
    """
    acting = ActingColony(env, policy, seeds)
    shape = len(seeds)
    returns = np.zeros(shape)
    deliveries, breakthroughs = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    chance = acting.draw(env.max_episode_steps)
    for t in range(env.max_episode_steps):
        transition = acting.advance(chance[t], greedy=greedy, idle=idle).transition
        returns += transition.reward.sum(axis=1, dtype=np.float64)
        deliveries += transition.delivered.sum(axis=1)
        breakthroughs += (transition.breakthrough[:, :-1] > 0).sum(axis=1)
    return Episodes(returns, deliveries, acting.colony.state.step.copy(), breakthroughs)
