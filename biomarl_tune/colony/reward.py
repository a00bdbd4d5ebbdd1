"""The reward of agents for one step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biomarl_tune.compiled import compiled
from biomarl_tune.experiment import EnvSettings


def total_reward(
    picked: NDArray[np.bool_],  # [E, N]
    delivered: NDArray[np.bool_],  # [E, N]
    env: EnvSettings,
) -> NDArray[np.float32]:  # [E, N]
    """Return what the agents earn, weighted by the settings.

    Each is charged for the step and paid for the food that it loads and that it unloads; with
    ``shared_delivery_reward`` it is also paid for every delivery of its colony, its own included.
    """
    return _total_reward(
        picked,
        delivered,
        np.float32(env.step_reward),
        np.float32(env.pickup_reward),
        np.float32(env.delivery_reward),
        np.float32(env.shared_delivery_reward),
    )


@compiled
def _total_reward(
    picked: NDArray[np.bool_],
    delivered: NDArray[np.bool_],
    step: np.float32,
    pickup: np.float32,
    delivery: np.float32,
    shared: np.float32,
) -> NDArray[np.float32]:
    reward = np.full(picked.shape, step)
    for world in range(picked.shape[0]):
        deliveries = 0
        for agent in range(delivered.shape[1]):
            deliveries += delivered[world, agent]
        earned_by_all = shared * np.float32(deliveries)
        for agent in range(picked.shape[1]):
            if delivered[world, agent]:
                reward[world, agent] += delivery
            if picked[world, agent]:
                reward[world, agent] += pickup
            reward[world, agent] += earned_by_all
    return reward
