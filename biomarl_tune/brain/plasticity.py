"""Plasticity: a fast-weight memory per agent that rewires while it lives.

    M_t = (1 - eta) M_{t-1} + eta m_t k_t v_t^T,    r_t = q_t M_t

Sources: fast weights (Schmidhuber 1992; Ba et al. 2016), neuromodulated plasticity (Miconi et
al. 2019), linear attention as fast weights (Schlag et al. 2021), the chunkwise form with decay
(Sun et al. 2023, eq. 7). Letters: W worlds, T steps, N agents, K = V memory width.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from biomarl_tune.brain.activation import fast_tanh
from biomarl_tune.compiled import compiled_loosely


class Write(NamedTuple):
    """What agents write to and ask of their memories; leading axes are alike."""

    query: Tensor  # [..., K]
    key: Tensor  # [..., K] of length 1
    value: Tensor  # [..., V] in (-1, 1)
    gate: Tensor  # [..., 1] the neuromodulator m, in (0, 1)


class MemoryHead(nn.Module):
    """Compute queries, keys, values and the neuromodulator from features [..., H]."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.project = nn.Linear(features, 3 * width + 1)

    def forward(self, features: Tensor) -> Write:
        """Project the features of every agent."""
        return self.write(self.project(features))

    def write(self, projected: Tensor) -> Write:
        """Take apart what ``project`` makes of the features."""
        query, key, value, gate = torch.split(projected, [self.width] * 3 + [1], dim=-1)
        return Write(query, functional.normalize(key, dim=-1), fast_tanh(value), gate.sigmoid())


def recurrent_step(memory: Tensor, write: Write, *, eta: float) -> tuple[Tensor, Tensor]:
    """Write once and read.

    Args:
        memory: [B, K, V] before the step.
        write: of B agents.
        eta: the plasticity rate, per step.

    Returns:
        What is read, [B, V], and the memory after the step, [B, K, V].
    """
    strength = (eta * write.gate) * write.key
    memory = torch.baddbmm(memory, strength.unsqueeze(2), write.value.unsqueeze(1), beta=1.0 - eta)
    return torch.bmm(write.query.unsqueeze(1), memory).squeeze(1), memory


def chunk_read(write: Write, memory: Tensor, first: Tensor, *, eta: float) -> Tensor:
    """Return what every step of a chunk reads, without building a memory per step.

    With ``a = 1 - eta`` the recurrence unrolls to masked, decayed linear attention:

        r_t = sum_{s <= t} eta a^{t-s} m_s (q_t . k_s) v_s + a^{t+1} q_t M_0

    where sums and M_0 do not reach back over the beginning of an episode.

    Args:
        write: fields [W, T, N, .].
        memory: [W, N, K, V] before the chunk.
        first: [W, T] whether an episode begins at the step.
        eta: the plasticity rate, per step.

    Returns:
        [W, T, N, V].
    """
    worlds, steps, agents, _ = write.query.shape
    query, key, value = (x.transpose(1, 2).flatten(0, 1) for x in write[:3])  # [W N, T, .]
    gate = write.gate.transpose(1, 2).flatten(0, 1)
    within, carried = decay_weights(first, eta)
    scores = torch.bmm(query, key.transpose(1, 2))  # [W N, T, T]
    scores = (scores.view(worlds, agents, steps, steps) * within[:, None]).flatten(0, 1)
    read = torch.bmm(scores, gate * value)
    old = torch.bmm(query, memory.flatten(0, 1)).view(worlds, agents, steps, -1)
    read = torch.addcmul(read.view_as(old), old, carried[:, None, :, None])
    return read.transpose(1, 2)


def decay_weights(first: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """Return the weights of past writes [W, T, T] and of the memory before the chunk [W, T].

    Args:
        first: [W, T] whether an episode begins at the step.
        eta: the plasticity rate, per step.
    """
    steps = first.shape[1]
    episode = first.cumsum(dim=1)
    time = torch.arange(steps, device=first.device)
    age = time[:, None] - time[None, :]
    keep = torch.tensor(1.0 - eta, device=first.device)
    decay = eta * keep ** age.clamp(min=0) * (age >= 0)
    within = decay * (episode[:, :, None] == episode[:, None, :])
    carried = keep ** (time + 1) * (episode == 0)
    return within, carried


@compiled_loosely
def write_and_read(
    written: NDArray[np.float32],  # [3K + 1, B] queries, keys of any length, values and gates
    memory: NDArray[np.float32],  # [K, V, B] before the step; overwritten by that after it
    eta: np.float32,
    read: NDArray[np.float32],  # [V, B] takes what is read
) -> None:
    """Do what ``recurrent_step`` does, columns first."""
    width, _, rows = memory.shape
    keep = np.float32(1.0) - eta
    strength = np.zeros(rows, np.float32)
    for i in range(width):
        for row in range(rows):
            strength[row] += written[width + i, row] * written[width + i, row]
    for row in range(rows):
        length = max(np.sqrt(strength[row]), np.float32(1e-12))
        strength[row] = eta * written[3 * width, row] / length
    push = np.empty(rows, np.float32)
    read[:] = 0.0
    for i in range(width):
        for row in range(rows):
            push[row] = strength[row] * written[width + i, row]
        for j in range(width):
            for row in range(rows):
                now = keep * memory[i, j, row] + push[row] * written[2 * width + j, row]
                memory[i, j, row] = now
                read[j, row] += written[i, row] * now
