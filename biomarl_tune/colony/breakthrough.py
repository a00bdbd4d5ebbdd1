"""Breakthroughs: moments when a windowed return rises far above its own running mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ReturnHistory:
    """What detection remembers of E worlds; the last of the N + 1 columns is the colony."""

    rewards: NDArray[np.float32]  # [window, E, N + 1] the latest rewards, a ring
    mean: NDArray[np.float32]  # [E, N + 1] running mean of the windowed return
    spread: NDArray[np.float32]  # [E, N + 1] running sum of its squared deviations
    above: NDArray[np.bool_]  # [E, N + 1] whether the last windowed return was above
    count: NDArray[np.int64]  # [E] steps since the episode began


def empty_history(worlds: int, agents: int, window: int) -> ReturnHistory:
    """Return the history of worlds that have not been stepped yet."""
    shape = (worlds, agents + 1)
    return ReturnHistory(
        rewards=np.zeros((window, *shape), dtype=np.float32),
        mean=np.zeros(shape, dtype=np.float32),
        spread=np.zeros(shape, dtype=np.float32),
        above=np.zeros(shape, dtype=np.bool_),
        count=np.zeros(worlds, dtype=np.int64),
    )


def forget(history: ReturnHistory, worlds: NDArray[np.int64]) -> None:
    """Begin a new episode in some worlds, in place."""
    history.rewards[:, worlds] = 0.0
    for field in (history.mean, history.spread, history.above, history.count):
        field[worlds] = 0


def detect(
    history: ReturnHistory,
    reward: NDArray[np.float32],  # [E, N]
    *,
    threshold: float,
) -> NDArray[np.float32]:  # [E, N + 1]
    """Take in one step's rewards and return the size of each breakthrough, 0 where there is none.

    The windowed return ``w_t`` is the sum of the last ``window`` rewards. With the mean and the
    standard deviation of ``w`` so far in the episode (Welford 1962), a breakthrough is the step
    at which ``w_t`` comes to exceed ``mean + threshold * deviation``; its size is
    ``w_t - mean``, in units of reward. None is seen before two windows have passed. The colony's
    reward is the mean over its agents.
    """
    window = history.rewards.shape[0]
    slot = history.rewards[history.count % window, np.arange(reward.shape[0])]
    slot[:, :-1] = reward
    slot[:, -1] = reward.mean(axis=1)
    history.rewards[history.count % window, np.arange(reward.shape[0])] = slot
    windowed = history.rewards.sum(axis=0)

    count = history.count[:, None]
    excess = windowed - history.mean
    deviation = np.sqrt(history.spread / np.maximum(count, 1))
    seasoned = count >= 2 * window
    above = seasoned & (excess > np.float32(threshold) * deviation + np.float32(1e-4))
    size = np.where(above & ~history.above, excess, np.float32(0.0))

    history.mean[:] += excess / (count + 1)
    history.spread[:] += excess * (windowed - history.mean)
    history.above[:] = above
    history.count[:] += 1  # last: `count` is a view of it
    return size
