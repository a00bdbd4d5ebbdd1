"""The reward terms, one function each, over agents [E, N]."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from biomarl_tune.experiment import EnvSettings

Mask: TypeAlias = NDArray[np.bool_]  # [E, N]
Reward: TypeAlias = NDArray[np.float32]  # [E, N]


def delivery(delivered: Mask, *, weight: float) -> Reward:
    """Reward each agent for the food that it unloads in the nest."""
    return np.float32(weight) * delivered


def pickup(picked: Mask, *, weight: float) -> Reward:
    """Reward each agent for the food that it loads at a patch."""
    return np.float32(weight) * picked


def step_cost(picked: Mask, *, weight: float) -> Reward:
    """Charge each agent for the step."""
    return np.full(picked.shape, weight, dtype=np.float32)


def shared_delivery(delivered: Mask, *, weight: float) -> Reward:
    """Reward every agent for each delivery of its colony."""
    total = delivered.sum(axis=1, keepdims=True, dtype=np.float32)
    return np.broadcast_to(np.float32(weight) * total, delivered.shape)


def total_reward(picked: Mask, delivered: Mask, env: EnvSettings) -> Reward:
    """Return the sum of the terms, weighted by the settings."""
    reward = step_cost(picked, weight=env.step_reward)
    reward += delivery(delivered, weight=env.delivery_reward)
    reward += pickup(picked, weight=env.pickup_reward)
    if env.shared_delivery_reward:
        reward += shared_delivery(delivered, weight=env.shared_delivery_reward)
    return reward
