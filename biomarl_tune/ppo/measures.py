"""What a sampler measures of the worlds it steps, as sums that can be added up."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from biomarl_tune.colony.lattice import NUM_MOVES


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
    episode_return: float = 0.0
    episode_length: float = 0.0
    episode_deliveries: float = 0.0
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

        Where no whole episode ended, the returns are the reward rate times the episode's length.
        """
        steps = max(self.world_steps, 1.0)
        rate = max_episode_steps / steps
        ended = self.episodes > 0
        per_episode = 1.0 / max(self.episodes, 1.0)
        estimate = self.reward * rate
        return {
            "episode_return_mean": self.episode_return * per_episode if ended else estimate,
            "episode_return_min": self.return_min if ended else estimate,
            "episode_return_max": self.return_max if ended else estimate,
            "episode_len_mean": self.episode_length * per_episode
            if ended
            else float(max_episode_steps),
            "deliveries_per_episode": self.episode_deliveries * per_episode
            if ended
            else self.deliveries * rate,
            "pheromone_strength": self.pheromone / steps,
            "trail_coverage": self.coverage / steps,
            "plasticity_norm": self.memory_norm / max(self.agent_steps, 1.0),
            "message_norm": self.message_norm / max(self.agent_steps, 1.0),
            "coordination": self.alike / max(self.pairs, 1.0),
            "breakthrough_frequency": 1000.0 * self.breakthroughs / max(self.agent_steps, 1.0),
        }


def like_pairs(
    cell: NDArray[np.int64],  # [B, N]
    carrying: NDArray[np.bool_],  # [B, N]
    actions: NDArray[np.int64],  # [B, N]
    cells: int,
) -> tuple[float, float]:
    """Count pairs of agents in one cell with like loads: those that move alike, and all.

    B is any number of worlds and steps. Independent uniform moves give a share of 1/7.
    """
    groups = 2 * cells
    worlds = np.arange(cell.shape[0])[:, None]
    group = ((worlds * groups + 2 * cell + carrying) * NUM_MOVES + actions).ravel()
    count = np.bincount(group, minlength=cell.shape[0] * groups * NUM_MOVES)
    chosen = count.reshape(-1, NUM_MOVES).astype(np.float64)
    together = chosen.sum(axis=1)
    alike = float((chosen * (chosen - 1.0)).sum())
    return alike, float((together * (together - 1.0)).sum())
