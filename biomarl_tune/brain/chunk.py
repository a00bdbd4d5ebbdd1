"""What whole worlds observe, laid out for the written-out passes: a chunk, or a moment.

Columns come first, because a short last axis is slow; then worlds, agents, steps, so that what
one agent writes to its memory lies together. Letters: W worlds, N agents, T steps,
K = V memory width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from biomarl_tune.brain.communication import Ears
from biomarl_tune.brain.plasticity import ChunkPass, StepPass, decay_weights
from biomarl_tune.brain.policy import BioPolicy


class Remembered(Protocol):
    """What came of writing to the memories and reading them."""

    read: Tensor  # [V, B]
    gate: Tensor  # B in all


class Scene(Protocol):
    """What the brain answers to."""

    obs: Tensor  # [12, W, N, T]
    ears: Ears | None  # None when messages are off

    def remember(self, projected: Tensor) -> Remembered:
        """Write [3K + 1, W, N, T] to the memories and read them."""


@dataclass
class Moment:
    """One step of W worlds (T = 1); its memory is overwritten when the brain answers."""

    obs: Tensor  # [12, W, N, 1]
    memory: Tensor  # [K, V, W N]
    eta: float
    ears: Ears | None

    @classmethod
    def of(cls, policy: BioPolicy, obs: Tensor, memory: Tensor) -> Moment:
        """Lay out observations [W, N, 12] and memories [W, N, K, V], which are overwritten."""
        return cls(
            obs=obs.permute(2, 0, 1).unsqueeze(3),
            memory=memory.permute(2, 3, 0, 1).flatten(2),
            eta=policy.model.neural_plasticity_rate,
            ears=policy.ears(obs[:, None]) if policy.model.messages else None,
        )

    def remember(self, projected: Tensor) -> StepPass:
        """Write [3K + 1, W, N, 1] to the memories and read them."""
        return StepPass(projected.flatten(1), self.memory, eta=self.eta)


@dataclass
class Chunk:
    """What the brain needs to answer T steps of W worlds; made once a batch."""

    obs: Tensor  # [12, W, N, T]
    memory: Tensor  # [W, N, K, V] before the first step
    within: Tensor  # [W, T, T] weights of what was written before, 0 across episodes
    carried: Tensor  # [W, T] weights of the memory from before the chunk
    ears: Ears | None  # None when messages are off

    @classmethod
    def of(cls, policy: BioPolicy, obs: Tensor, first: Tensor, memory: Tensor) -> Chunk:
        """Lay out observations [W, T, N, 12], beginnings of episodes [W, T] and memories."""
        within, carried = decay_weights(first, policy.model.neural_plasticity_rate)
        return cls(
            obs=obs.permute(3, 0, 2, 1).contiguous(),
            memory=memory,
            within=within,
            carried=carried,
            ears=policy.ears(obs) if policy.model.messages else None,
        )

    def remember(self, projected: Tensor) -> ChunkPass:
        """Write [3K + 1, W, N, T] to the memories and read them."""
        return ChunkPass(projected, self.memory, self.within, self.carried)

    def select(self, worlds: Tensor) -> Chunk:
        """Return the chunk of some worlds."""
        return Chunk(
            obs=self.obs.index_select(1, worlds),
            memory=self.memory.index_select(0, worlds),
            within=self.within.index_select(0, worlds),
            carried=self.carried.index_select(0, worlds),
            ears=self.ears and self.ears.select(worlds),
        )
