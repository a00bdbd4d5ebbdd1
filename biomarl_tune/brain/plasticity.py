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

from biomarl_tune.brain.activation import fast_tanh, tanh_, tanh_backward_
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


class ChunkPass:
    """``chunk_read`` and what comes before it, written out for columns first.

    Args:
        projected: [3K + 1, W, N, T] queries, keys, values and gates before their functions.
        memory: [W, N, K, V] before the chunk.
        within: [W, T, T] weights of past writes, from ``decay_weights``.
        carried: [W, T] weights of the memory before the chunk.
    """

    def __init__(self, projected: Tensor, memory: Tensor, within: Tensor, carried: Tensor) -> None:
        self._shape = projected.shape
        worlds, agents, steps = projected.shape[1:]
        self._within, self._carried = within[:, None], carried[:, None, :]
        self._memory = memory.flatten(0, 1)  # [W N, K, V]
        columns = projected.reshape(-1, worlds * agents, steps)
        query, self._key, self._length, self._value, self.gate = _written(columns)
        self._query = query  # [K, W N, T]
        self._told = (self.gate * self._value).permute(1, 0, 2)  # [W N, V, T] gated values
        self._scores = torch.bmm(_steps_first(query), self._key.permute(1, 0, 2))  # [W N, T, T]
        self._decay(self._scores)
        old = (query.view(-1, worlds, agents, steps) * self._carried).view_as(query)
        read = torch.bmm(self._memory.mT, old.permute(1, 0, 2))
        read.baddbmm_(self._told, self._scores.mT)
        self.read = read.permute(1, 0, 2).flatten(1)  # [V, B]

    def _decay(self, scores: Tensor) -> None:
        worlds, agents, steps = self._shape[1:]
        scores.view(worlds, agents, steps, steps).mul_(self._within)

    def backward(self, d_read: Tensor, d_gate: Tensor | None, out: Tensor) -> None:
        """Work out the gradient of ``projected``.

        Args:
            d_read: [V, B].
            d_gate: [W, N, T] of the gates, as a loss of their own has it.
            out: [3K + 1, B] takes the gradient.
        """
        _, worlds, agents, steps = self._shape
        width = self._query.shape[0]
        d_columns = out.view(-1, worlds * agents, steps)
        d_query, d_key, d_value, d_gates = torch.split(d_columns, [width, width, width, 1])
        d_read = d_read.view(-1, worlds * agents, steps)
        d_told = torch.bmm(d_read.permute(1, 0, 2), self._scores).permute(1, 0, 2)
        d_scores = torch.bmm(_steps_first(d_read), self._told)
        self._decay(d_scores)
        old = (d_read.view(-1, worlds, agents, steps) * self._carried).view_as(d_read)
        found = torch.bmm(self._memory, old.permute(1, 0, 2))
        found.baddbmm_(self._key.permute(1, 0, 2), d_scores.mT)
        d_query.copy_(found.permute(1, 0, 2))

        d_unit = torch.bmm(self._query.permute(1, 0, 2), d_scores).permute(1, 0, 2)
        along = (self._key * d_unit).sum(dim=0)
        torch.div(torch.addcmul(d_unit, self._key, along, value=-1.0), self._length, out=d_key)

        torch.mul(d_told, self.gate, out=d_value)
        tanh_backward_(d_value, self._value)
        change = (d_told * self._value).sum(dim=0)
        if d_gate is not None:
            change += d_gate.view_as(change)
        torch.ops.aten.sigmoid_backward.grad_input(change, self.gate, grad_input=d_gates[0])


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


def _written(columns: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the queries, unit keys, lengths of the keys, values and gates of [3K + 1, ...]."""
    width = columns.shape[0] // 3
    query, key, value, gate = torch.split(columns, [width, width, width, 1])
    length = key.square().sum(dim=0).sqrt_().clamp_(min=1e-12)
    return query, key / length, length, tanh_(value.clone()), gate[0].sigmoid()


def _steps_first(columns: Tensor) -> Tensor:
    """Return [., W N, T] as [W N, T, .]."""
    return columns.permute(1, 2, 0)
