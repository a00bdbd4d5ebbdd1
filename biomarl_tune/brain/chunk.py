"""What whole worlds observe over some steps, laid out for the written-out passes.

Columns come first, because a short last axis is slow; then worlds, agents, steps, so that what
one agent writes to its memory lies together. Letters: W worlds, N agents, T steps,
K = V memory width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from biomarl_tune.brain.chunk_memory import ChunkPass
from biomarl_tune.brain.communication import Ears
from biomarl_tune.brain.joined import OBSERVED, ONE, ORDER
from biomarl_tune.brain.plasticity import decay_weights
from biomarl_tune.brain.policy import BioPolicy
from biomarl_tune.colony.lattice import NUM_MOVES


@dataclass
class Chunk:
    """What the brain needs to answer T steps of W worlds; made once a batch."""

    inputs: Tensor  # [13 (+ 8), W, N, T] what is observed, a one, and room for what attention finds
    memory: Tensor  # [W, N, K, V] before the first step
    within: Tensor  # [W, T, T] weights of what was written before, 0 across episodes
    carried: Tensor  # [W, T] weights of the memory from before the chunk
    ears: Ears | None  # None when messages are off

    @classmethod
    def of(cls, policy: BioPolicy, obs: Tensor, first: Tensor, memory: Tensor) -> Chunk:
        """Lay out observations [W, T, N, 12], beginnings of episodes [W, T] and memories."""
        within, carried = decay_weights(first, policy.model.neural_plasticity_rate)
        found = 1 + NUM_MOVES if policy.model.pheromone_attention else 0
        worlds, steps, agents = obs.shape[:3]
        inputs = torch.empty(OBSERVED + found, worlds, agents, steps)
        torch.index_select(obs.permute(3, 0, 2, 1), 0, ORDER, out=inputs[:ONE])
        inputs[ONE] = 1.0
        return cls(
            inputs=inputs,
            memory=memory,
            within=within,
            carried=carried,
            ears=policy.ears(policy.cells(obs).numpy()) if policy.model.messages else None,
        )

    def remember(self, projected: Tensor) -> ChunkPass:
        """Write [3K + 1, W, N, T] to the memories and read them."""
        return ChunkPass(projected, self.memory, self.within, self.carried)

    def select(self, worlds: Tensor) -> Chunk:
        """Return the chunk of some worlds, a copy."""
        return Chunk(
            inputs=self.inputs.index_select(1, worlds),
            memory=self.memory.index_select(0, worlds),
            within=self.within.index_select(0, worlds),
            carried=self.carried.index_select(0, worlds),
            ears=self.ears and self.ears.select(worlds),
        )
