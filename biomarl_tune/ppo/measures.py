"""What a sampler measures of the worlds it steps, as sums that can be added up."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from biomarl_tune.colony.lattice import NUM_MOVES
from biomarl_tune.compiled import compiled, compiled_loosely


@dataclass
class Measures:
    """Sums over the steps of one sample; those of several samplers add up."""

    agent_steps: float = 0.0
    world_steps: float = 0.0
    reward: float = 0.0
    deliveries: float = 0.0
    pheromone: float = 0.0  # sum over world steps of the mean over cells
    coverage: float = 0.0  # sum over world steps of the share of cells with a trail
    memory_norm: float = 0.0  # sum over agent steps, each after its write
    message_norm: float = 0.0  # sum over agent steps
    alike: float = 0.0  # pairs in one cell with like loads that chose the same move
    pairs: float = 0.0
    breakthroughs: float = 0.0
    episodes: float = 0.0  # whole ones that ended
    episode_length: float = 0.0
    return_min: float = math.inf
    return_max: float = -math.inf

    @classmethod
    def merged(cls, parts: Iterable[Measures]) -> Measures:
        """Add up the measures of several samplers."""
        total = cls()
        for part in parts:
            for field in fields(cls):
                if field.name not in {"return_min", "return_max"}:
                    value = getattr(total, field.name) + getattr(part, field.name)
                    setattr(total, field.name, value)
            total.return_min = min(total.return_min, part.return_min)
            total.return_max = max(total.return_max, part.return_max)
        return total

    def scalars(self, max_episode_steps: int) -> dict[str, float]:
        """Return the scalars of the report that describe the worlds.

        Worlds are staggered over the episode, so what they earn in a sample, times the episode's
        length over the sample's, estimates what the brain returns now, from all worlds. The few
        episodes that end in a sample were begun by older brains, and tell less: under two trained
        brains their mean had 1.4 and 2.2 times the standard deviation of this estimate.
        """
        steps = max(self.world_steps, 1.0)
        rate = max_episode_steps / steps
        ended = self.episodes > 0
        estimate = self.reward * rate
        length = self.episode_length / max(self.episodes, 1.0)
        return {
            "episode_return_mean": estimate,
            "episode_return_min": self.return_min if ended else estimate,
            "episode_return_max": self.return_max if ended else estimate,
            "episode_len_mean": length if ended else float(max_episode_steps),
            "deliveries_per_episode": self.deliveries * rate,
            "pheromone_strength": self.pheromone / steps,
            "trail_coverage": self.coverage / steps,
            "plasticity_norm": self.memory_norm / max(self.agent_steps, 1.0),
            "message_norm": self.message_norm / max(self.agent_steps, 1.0),
            "coordination": self.alike / max(self.pairs, 1.0),
            "breakthrough_frequency": 1000.0 * self.breakthroughs / max(self.agent_steps, 1.0),
        }


@compiled
def like_pairs(
    cell: NDArray[np.int64],  # [B, N]
    carrying: NDArray[np.bool_],  # [B, N]
    actions: NDArray[np.int64],  # [B, N]
    cells: int,
) -> tuple[int, int]:
    """Count pairs of agents in one cell with like loads: those that move alike, and all.

    B is any number of worlds and steps. A pair counts both ways. Independent uniform moves give a
    share of 1/7.
    """
    chosen = np.zeros((2 * cells, NUM_MOVES), np.int32)
    together = np.zeros(2 * cells, np.int32)
    alike = pairs = 0
    for world in range(cell.shape[0]):
        for agent in range(cell.shape[1]):
            group = 2 * cell[world, agent] + carrying[world, agent]
            move = actions[world, agent]
            alike += 2 * chosen[group, move]  # with those before it
            pairs += 2 * together[group]
            chosen[group, move] += 1
            together[group] += 1
        for agent in range(cell.shape[1]):
            group = 2 * cell[world, agent] + carrying[world, agent]
            together[group] = 0
            chosen[group] = 0
    return alike, pairs


@compiled_loosely
def summed_norms(
    vectors: NDArray[np.float32],  # [W, B]
) -> float:
    """Return the sum of the lengths of B vectors."""
    square = np.zeros(vectors.shape[1], np.float32)
    for column in range(vectors.shape[0]):
        for row in range(vectors.shape[1]):
            square[row] += vectors[column, row] * vectors[column, row]
    total = 0.0
    for row in range(square.size):
        total += math.sqrt(square[row])
    return total


@compiled
def summed_trails(
    pheromone: NDArray[np.float32],  # [E, C]
    trail: float,
) -> tuple[float, float]:
    """Sum over worlds the mean pheromone, and the share of the cells above ``trail``."""
    strength = above = 0.0
    for amount in pheromone.ravel():
        strength += float(amount)
        above += amount > trail
    cells = pheromone.shape[1]
    return strength / cells, above / cells


@compiled
def tally(
    reward: NDArray[np.float32],  # [E, N]
    delivered: NDArray[np.bool_],  # [E, N]
    breakthrough: NDArray[np.float32],  # [E, N + 1]
    returns: NDArray[np.float64],  # [E] of the running episodes; grow by the rewards
) -> tuple[float, int, int]:
    """Return the sum of the rewards, the deliveries, and the agents that broke through."""
    earned, deliveries, breakthroughs = 0.0, 0, 0
    for world in range(reward.shape[0]):
        before = earned
        for agent in range(reward.shape[1]):
            earned += reward[world, agent]
            deliveries += delivered[world, agent]
            breakthroughs += breakthrough[world, agent] > 0
        returns[world] += earned - before
    return earned, deliveries, breakthroughs
