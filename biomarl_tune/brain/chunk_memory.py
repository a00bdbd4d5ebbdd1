"""What a chunk's steps write to the memories and read of them, forward and back, written out.

``plasticity.chunk_read`` says what is computed. Letters: W worlds, T steps, N agents,
B = W N T rows, K = V memory width.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biomarl_tune.brain.activation import tanh_
from biomarl_tune.brain.arrays import arrays
from biomarl_tune.compiled import compiled_loosely


class ChunkPass:
    """``chunk_read`` and what comes before it, written out for columns first.

    Args:
        projected: [3K + 1, W, N, T] queries, keys, values and gates before their functions;
            overwritten.
        memory: [W, N, K, V] before the chunk.
        within: [W, T, T] weights of past writes, from ``decay_weights``.
        carried: [W, T] weights of the memory before the chunk.
    """

    def __init__(self, projected: Tensor, memory: Tensor, within: Tensor, carried: Tensor) -> None:
        worlds, agents, steps = projected.shape[1:]
        width = memory.shape[2]
        self._shape = (worlds, agents, steps)
        self._within, self._carried = within[:, None], carried
        self._memory = memory.flatten(0, 1)  # [W N, K, V]
        self._written = projected.view(-1, worlds * agents, steps)
        self._query, self._key, value, gate = torch.split(
            self._written, [width, width, width, 1]
        )  # [., W N, T]
        tanh_(value)
        self.gate = gate[0].sigmoid_()  # [W N, T]
        self._length = torch.empty(worlds * agents, steps)  # of the keys, which get length 1
        self._told, old = torch.empty(2, worlds * agents, width, steps)  # gated values, old queries
        _prepare(*arrays(self._written, carried, self._length, self._told, old))
        self._scores = torch.bmm(self._query.permute(1, 2, 0), self._key.permute(1, 0, 2))
        self._decay(self._scores)  # [W N, T, T]
        read = torch.bmm(self._memory.mT, old)
        read.baddbmm_(self._told, self._scores.mT)
        self.read = read.permute(1, 0, 2).flatten(1)  # [V, B]

    def _decay(self, scores: Tensor) -> None:
        worlds, agents, steps = self._shape
        scores.view(worlds, agents, steps, steps).mul_(self._within)

    def backward(self, d_read: Tensor, d_gate: Tensor | None, out: Tensor) -> None:
        """Work out the gradient of ``projected``.

        Args:
            d_read: [V, B].
            d_gate: [W, N, T] of the gates, as a loss of their own has it.
            out: [3K + 1, B] takes the gradient.
        """
        d_columns = d_read.view(-1, *self._shape)
        old = (d_columns * self._carried[:, None]).flatten(1, 2).permute(1, 0, 2)
        d_read = d_columns.flatten(1, 2)
        d_told = torch.bmm(d_read.permute(1, 0, 2), self._scores)
        d_scores = torch.bmm(d_read.permute(1, 2, 0), self._told)
        self._decay(d_scores)
        d_query = torch.bmm(self._memory, old)
        d_query.baddbmm_(self._key.permute(1, 0, 2), d_scores.mT)
        d_unit = torch.bmm(self._query.permute(1, 0, 2), d_scores)
        d_written = out.view(self._written.shape)
        _finish(*arrays(self._written, self._length, d_query, d_unit, d_told, d_written))
        if d_gate is not None:
            d_written[-1] += d_gate.view_as(self.gate) * self.gate * (1.0 - self.gate)


@compiled_loosely
def _prepare(
    written: NDArray[np.float32],  # [3K + 1, W N, T] values and gates after their functions
    carried: NDArray[np.float32],  # [W, T]
    length: NDArray[np.float32],  # [W N, T] takes the lengths of the keys, which get length 1
    told: NDArray[np.float32],  # [W N, V, T] takes the gated values
    old: NDArray[np.float32],  # [W N, K, T] takes the queries, weighted for what was before
) -> None:
    rows, width, steps = told.shape
    agents = rows // carried.shape[0]
    for row in range(rows):
        world = row // agents
        for t in range(steps):
            length[row, t] = 0.0
        for i in range(width, 2 * width):
            for t in range(steps):
                length[row, t] += written[i, row, t] * written[i, row, t]
        for t in range(steps):
            length[row, t] = max(np.sqrt(length[row, t]), np.float32(1e-12))
        for i in range(width):
            for t in range(steps):
                written[width + i, row, t] /= length[row, t]
                told[row, i, t] = written[2 * width + i, row, t] * written[3 * width, row, t]
                old[row, i, t] = written[i, row, t] * carried[world, t]


@compiled_loosely
def _finish(
    written: NDArray[np.float32],  # [3K + 1, W N, T] as ``_prepare`` leaves it
    length: NDArray[np.float32],  # [W N, T]
    d_query: NDArray[np.float32],  # [W N, K, T]
    d_unit: NDArray[np.float32],  # [W N, K, T] of the keys of length 1
    d_told: NDArray[np.float32],  # [W N, V, T]
    d_written: NDArray[np.float32],  # [3K + 1, W N, T] takes the gradient before all functions
) -> None:
    rows, width, steps = d_query.shape
    one = np.float32(1.0)
    along, opening = np.empty(steps, np.float32), np.empty(steps, np.float32)
    for row in range(rows):
        along[:] = 0.0
        opening[:] = 0.0
        for i in range(width):
            for t in range(steps):
                along[t] += written[width + i, row, t] * d_unit[row, i, t]
                opening[t] += written[2 * width + i, row, t] * d_told[row, i, t]
        for i in range(width):
            for t in range(steps):
                d_written[i, row, t] = d_query[row, i, t]
                across = d_unit[row, i, t] - written[width + i, row, t] * along[t]
                d_written[width + i, row, t] = across / length[row, t]
                value, gate = written[2 * width + i, row, t], written[3 * width, row, t]
                d_written[2 * width + i, row, t] = d_told[row, i, t] * gate * (one - value * value)
        for t in range(steps):
            gate = written[3 * width, row, t]
            d_written[3 * width, row, t] = opening[t] * gate * (one - gate)
