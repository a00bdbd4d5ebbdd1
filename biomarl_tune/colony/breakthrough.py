"""Breakthroughs: moments when a windowed return rises far above its own running mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biomarl_tune.compiled import compiled


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
    return _detect(
        history.rewards,
        history.mean,
        history.spread,
        history.above,
        history.count,
        reward,
        np.float32(threshold),
    )


@compiled
def _detect(  # noqa: PLR0913, PLR0917 - the fields of a history
    rewards: NDArray[np.float32],
    mean: NDArray[np.float32],
    spread: NDArray[np.float32],
    above: NDArray[np.bool_],
    count: NDArray[np.int64],
    reward: NDArray[np.float32],
    threshold: np.float32,
) -> NDArray[np.float32]:
    window, worlds, columns = rewards.shape
    size = np.zeros((worlds, columns), dtype=np.float32)
    for world in range(worlds):
        steps = count[world]
        latest = rewards[steps % window, world]
        total = np.float32(0.0)
        for agent in range(columns - 1):
            latest[agent] = reward[world, agent]
            total += reward[world, agent]
        latest[-1] = total / np.float32(columns - 1)
        for column in range(columns):
            windowed = np.float32(0.0)
            for slot in range(window):
                windowed += rewards[slot, world, column]
            excess = windowed - mean[world, column]
            deviation = np.sqrt(spread[world, column] / np.float32(max(steps, 1)))
            is_above = steps >= 2 * window and excess > threshold * deviation + np.float32(1e-4)
            if is_above and not above[world, column]:
                size[world, column] = excess
            mean[world, column] += excess / np.float32(steps + 1)
            spread[world, column] += excess * (windowed - mean[world, column])
            above[world, column] = is_above
        count[world] += 1
    return size
