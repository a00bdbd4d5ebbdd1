"""The forward and the backward pass of the brain over a chunk, written out.

``BioPolicy.sequence`` says what is computed; this says it again in few, large products with the
columns first and compiled loops between them, and is several times as fast. Both are tested to
answer and to learn alike.

Letters: W worlds, N agents, T steps, B = W N T rows, H hidden, M message, K = V memory width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from biomarl_tune.brain.activation import tanh_, tanh_backward_
from biomarl_tune.brain.arrays import arrays
from biomarl_tune.brain.attention import attend, attend_back
from biomarl_tune.brain.chunk import Chunk
from biomarl_tune.brain.chunk_memory import ChunkPass
from biomarl_tune.brain.joined import OBSERVED, REST, SCENTS, Joined, factors
from biomarl_tune.colony.lattice import NUM_MOVES


class ChunkOutput(NamedTuple):
    """What the brain answers to a chunk, or the gradients of that; columns first, B rows."""

    moves: Tensor  # [8, B] logits of the moves, and the detector's
    value: Tensor  # [B]
    message: Tensor | None = None  # [M, B] None when messages are off, or have no gradient
    gate: Tensor | None = None  # [B] the neuromodulator; None likewise with plasticity
    attention: Tensor | None = None  # [7, B] weights; None likewise with attention


class Pass:
    """A forward pass; keeps what the backward pass needs.

    Args:
        chunk: overwritten where it has room for what attention finds.
        weights: of the brain.
        dtype: of the hidden layers and their products; the rest is float32.
    """

    def __init__(self, chunk: Chunk, weights: Joined, dtype: torch.dtype = torch.float32) -> None:
        self._chunk, self._exact = chunk, weights
        self._weights = factors(weights, dtype)
        self._shape = chunk.inputs.shape[1:]  # W, N, T
        self._hidden = weights.critic.shape[0]
        self._inputs = chunk.inputs.view(len(chunk.inputs), -1)  # [13 (+ 8), B]
        self._logits = self._attend()
        self._rows = self._inputs.to(dtype)
        self._first = self._enter()  # [2H + 1, B]
        self._second = self._think()  # [2H (+ M) (+ 3K + 1), B]
        self._memory = self._remember()
        self._heard = self._hear()
        self._layers = tanh_(self._second[: 2 * self._hidden])  # [2H, B] in place
        self.output = self._act()

    def _attend(self) -> Tensor | None:
        """Fill in what smells, and return the attention's logits [7, B]."""
        if self._weights.scent is None:
            return None
        inputs = self._inputs
        projected = self._weights.scent @ inputs[REST]
        logits = torch.empty(NUM_MOVES, inputs.shape[1])
        attend(*arrays(projected, inputs[SCENTS], inputs[OBSERVED:], logits))
        return logits

    def _enter(self) -> Tensor:
        inputs = self._rows
        first = inputs.new_empty(2 * self._hidden + 1, inputs.shape[1])
        torch.mm(self._weights.enter, inputs[:OBSERVED], out=first)
        if self._weights.into is not None:
            first[self._hidden + 1 :].addmm_(self._weights.into, inputs[OBSERVED:])
        tanh_(first)
        first[self._hidden] = 1.0
        return first

    def _think(self) -> Tensor:
        """Return what both networks make of their first layers, with message and memory."""
        weights, hidden = self._weights, self._hidden
        columns = hidden + weights.think.shape[0]
        second = self._first.new_empty(columns, self._first.shape[1])
        torch.mm(weights.critic, self._first[: hidden + 1], out=second[:hidden])
        torch.mm(weights.think, self._first[hidden:], out=second[hidden:])
        return second

    def _remember(self) -> ChunkPass | None:
        """Write, read, and take what was read into both networks and the message."""
        if self._weights.read is None:
            return None
        columns = self._weights.read.shape[0]
        memory = self._chunk.remember(self._second[columns:].float().view(-1, *self._shape))
        self._read = memory.read.to(self._second.dtype)
        self._second[:columns].addmm_(self._weights.read, self._read)
        return memory

    def _hear(self) -> Tensor | None:
        """Speak, listen, and take what was heard [M, B] into both networks."""
        if self._weights.heard is None:
            return None
        columns, width = self._weights.heard.shape
        self._said = self._second[columns : columns + width].float()
        assert self._chunk.ears is not None
        heard = self._chunk.ears.hear(self._said.view(-1, *self._shape)).flatten(1)
        heard = heard.to(self._second.dtype)
        self._second[:columns].addmm_(self._weights.heard, heard)
        return heard

    def _act(self) -> ChunkOutput:
        weights, hidden, layers = self._weights, self._hidden, self._layers
        moves = torch.addmm(weights.act_bias, weights.act, layers[hidden:]).float()
        value = torch.addmm(weights.value_bias, weights.value, layers[:hidden]).float()
        if self._logits is not None:
            moves[:NUM_MOVES] += self._logits
        return ChunkOutput(
            moves=moves,
            value=value[0],
            message=None if self._heard is None else self._said,
            gate=None if self._memory is None else self._memory.gate.flatten(),
            attention=None if self._logits is None else self._inputs[-NUM_MOVES:],
        )

    def backward(self, gradients: ChunkOutput, out: Joined) -> None:
        """Write the gradients of the weights into ``out``, given those of the output."""
        weights, hidden, layers = self._weights, self._hidden, self._layers
        dtype = layers.dtype
        d_moves, d_value = gradients.moves.to(dtype), gradients.value[None].to(dtype)
        _multiply(d_moves, layers[hidden:].T, out.act)
        _multiply(d_value, layers[:hidden].T, out.value)
        torch.sum(gradients.moves, dim=1, keepdim=True, out=out.act_bias)
        torch.sum(gradients.value[None], dim=1, keepdim=True, out=out.value_bias)

        d_second = torch.empty_like(self._second)
        torch.mm(weights.value.T, d_value, out=d_second[:hidden])
        torch.mm(weights.act.T, d_moves, out=d_second[hidden : 2 * hidden])
        tanh_backward_(d_second[: 2 * hidden], layers)
        self._hear_back(d_second, gradients.message, out)
        self._remember_back(d_second, gradients.gate, out)
        _multiply(d_second[:hidden], self._first[: hidden + 1].T, out.critic)
        _multiply(d_second[hidden:], self._first[hidden:].T, out.think)

        d_first = torch.empty_like(self._first)
        torch.mm(weights.critic.T, d_second[:hidden], out=d_first[: hidden + 1])
        torch.mm(weights.think.T, d_second[hidden:], out=d_first[hidden:])
        tanh_backward_(d_first, self._first)  # 0 where the one stands
        _multiply(d_first, self._rows[:OBSERVED].T, out.enter)
        self._attend_back(d_first[hidden + 1 :], gradients, out)

    def _hear_back(self, d_second: Tensor, message: Tensor | None, out: Joined) -> None:
        """Write the gradients of what is said, and of the weights of what is heard."""
        if self._heard is None or self._weights.heard is None or out.heard is None:
            return
        assert self._chunk.ears is not None
        columns, width = self._weights.heard.shape
        _multiply(d_second[:columns], self._heard.T, out.heard)
        d_heard = (self._weights.heard.T @ d_second[:columns]).float()
        d_said = d_second[columns : columns + width].view(-1, *self._shape)
        d_said.copy_(self._chunk.ears.back(d_heard.view(-1, *self._shape)))
        if message is not None:
            d_said += message.view_as(d_said)

    def _remember_back(self, d_second: Tensor, gate: Tensor | None, out: Joined) -> None:
        """Write the gradients of what is written, and of the weights of what is read."""
        if self._memory is None or self._weights.read is None or out.read is None:
            return
        columns = self._weights.read.shape[0]
        _multiply(d_second[:columns], self._read.T, out.read)
        d_read = (self._weights.read.T @ d_second[:columns]).float()
        d_gate = None if gate is None else gate.view(self._shape)
        d_written = d_second[columns:].float()  # the same where it is float32
        self._memory.backward(d_read, d_gate, out=d_written)
        if d_written.dtype != d_second.dtype:
            d_second[columns:] = d_written

    def _attend_back(self, d_actor: Tensor, gradients: ChunkOutput, out: Joined) -> None:
        """Write the gradients of the attention's weights."""
        keys, query, values = self._exact.keys, self._exact.query, self._exact.values
        attended, into = self._exact.attended, self._weights.into
        if keys is None or query is None or values is None or attended is None or into is None:
            return
        assert out.keys is not None
        assert out.query is not None
        assert out.values is not None
        assert out.attended is not None
        inputs = self._inputs
        d_into = (d_actor @ self._rows[OBSERVED:].T).float()
        torch.mm(d_into, values, out=out.attended)
        torch.mm(d_into.T, attended, out=out.values)
        d_attended = (into.T @ d_actor).float()
        if gradients.attention is not None:
            d_attended[1:] += gradients.attention
        d_projected = torch.empty_like(d_attended)
        attend_back(
            *arrays(
                inputs[OBSERVED:], inputs[SCENTS], d_attended, gradients.moves[:-1], d_projected
            )
        )
        d_scent = (d_projected @ inputs[REST].T).div_(keys.shape[1] ** 0.5)  # [8, 6]
        torch.mm(d_scent, query.T, out=out.keys)
        torch.mm(keys.T, d_scent, out=out.query)


def _multiply(left: Tensor, right: Tensor, out: Tensor) -> None:
    """Write a product of any type into a float32 matrix."""
    if left.dtype == out.dtype:
        torch.mm(left, right, out=out)
    else:
        out.copy_(left @ right)
