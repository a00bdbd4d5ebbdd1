"""The forward and the backward pass of the brain over a chunk, written out.

``BioPolicy.sequence`` says what is computed; this says it again in few, large products with the
columns first, and is several times as fast. Both are tested to answer and to learn alike.

Letters: W worlds, N agents, T steps, B = W N T rows, H hidden, M message, K = V memory width.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from biomarl_tune.brain.activation import tanh_, tanh_backward_
from biomarl_tune.brain.attention import AttentionPass
from biomarl_tune.brain.chunk import Chunk
from biomarl_tune.brain.joined import Joined, joined
from biomarl_tune.brain.plasticity import ChunkPass
from biomarl_tune.brain.policy import BioPolicy
from biomarl_tune.colony.lattice import NUM_MOVES
from biomarl_tune.colony.observation import NUM_COLUMNS, SCENT

_OBSERVED = NUM_COLUMNS + 1  # the observation and a one, whose weights are the biases


class ChunkOutput(NamedTuple):
    """What the brain answers to a chunk; columns first, B = W N T rows."""

    moves: Tensor  # [8, B] logits of the moves, and the detector's
    value: Tensor  # [B]
    message: Tensor | None  # [M, B] None when messages are off
    gate: Tensor | None  # [B] the neuromodulator; None when plasticity is off
    attention: Tensor | None  # [7, B] weights; None when attention is off


def answer(policy: BioPolicy, chunk: Chunk, *, dtype: torch.dtype = torch.float32) -> ChunkOutput:
    """Answer a chunk; gradients flow to the brain's weights, and to nothing else.

    Args:
        policy: the brain.
        chunk: of its worlds.
        dtype: of the hidden layers and their products; the rest is float32.
    """
    return ChunkOutput._make(_Passes.apply(chunk, dtype, *joined(policy)))  # type: ignore[no-untyped-call]


class _Passes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, chunk: Chunk, dtype: torch.dtype, *weights: Tensor | None) -> Any:
        ctx.set_materialize_grads(False)
        ctx.passes = _Forward(chunk, Joined._make(weights), dtype)
        return ctx.passes.act()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return (None, None, *_backward(ctx.passes, *gradients))


class _Forward:
    """The forward pass; keeps what the backward pass needs."""

    def __init__(self, chunk: Chunk, weights: Joined, dtype: torch.dtype) -> None:
        self.chunk = chunk
        self.weights = Joined._make(None if w is None else w.detach().to(dtype) for w in weights)
        self.shape = chunk.obs.shape[1:]  # W, N, T
        self.hidden = weights.critic.shape[0]
        self.said = weights.heard.shape[1] if weights.heard is not None else 0
        self.inputs = self._enter(dtype, weights.scent)
        self.first = tanh_(self.weights.enter @ self.inputs)  # [2H + 1, B]
        self.first[self.hidden] = 1.0
        self.second = self._think()  # [2H (+ M) (+ 3K + 1), B]
        self.memory = self._remember()
        self.heard = self._hear()
        self.layers = tanh_(self.second[: 2 * self.hidden])  # [2H, B] in place

    def _enter(self, dtype: torch.dtype, scent: Tensor | None) -> Tensor:
        """Return the inputs [13 (+ 8), B]: the observation, a one, and what smells."""
        rows = self.shape.numel()
        self.attention: AttentionPass | None = None
        inputs = torch.empty(_OBSERVED + (0 if scent is None else 1 + NUM_MOVES), rows)
        inputs[:NUM_COLUMNS] = self.chunk.obs.flatten(1)
        inputs[NUM_COLUMNS] = 1.0
        if scent is not None:
            scent = scent.detach()
            self.attention = AttentionPass(inputs[:_OBSERVED], inputs[SCENT], scent)
            inputs[_OBSERVED:] = self.attention.attended
        return inputs.to(dtype)

    def _think(self) -> Tensor:
        """Return what both networks make of their first layers, with message and memory."""
        weights, hidden = self.weights, self.hidden
        columns = hidden + weights.think.shape[0]
        second = self.first.new_empty(columns, self.first.shape[1])
        torch.mm(weights.critic, self.first[: hidden + 1], out=second[:hidden])
        torch.mm(weights.think, self.first[hidden:], out=second[hidden:])
        return second

    def _remember(self) -> ChunkPass | None:
        """Write, read, and take what was read into both networks and the message."""
        if self.weights.read is None:
            return None
        columns = self.weights.read.shape[0]
        memory = self.chunk.remember(self.second[columns:].float().view(-1, *self.shape))
        self.second[:columns].addmm_(self.weights.read, memory.read.to(self.second.dtype))
        return memory

    def _hear(self) -> Tensor | None:
        """Speak, listen, and take what was heard [M, B] into both networks."""
        if self.weights.heard is None:
            return None
        assert self.chunk.ears is not None
        columns = 2 * self.hidden
        self.message = self.second[columns : columns + self.said].float()
        heard = self.chunk.ears.hear(self.message.view(-1, *self.shape)).flatten(1)
        heard = heard.to(self.second.dtype)
        self.second[:columns].addmm_(self.weights.heard, heard)
        return heard

    def act(self) -> tuple[Tensor | None, ...]:
        """Return the fields of a ``ChunkOutput``; none of them is kept here, nor keeps this."""
        weights, hidden = self.weights, self.hidden
        moves = torch.addmm(weights.act_bias, weights.act, self.layers[hidden:]).float()
        value = torch.addmm(weights.value_bias, weights.value, self.layers[:hidden]).float()
        if self.attention is not None:
            moves[:NUM_MOVES] += self.attention.logits
        return (
            moves,
            value[0],
            None if self.heard is None else self.message.detach(),
            None if self.memory is None else self.memory.gate.flatten().detach(),
            None if self.attention is None else self.attention.weights.detach(),
        )


def _backward(
    passed: _Forward,
    moves: Tensor,
    value: Tensor,
    message: Tensor | None,
    gate: Tensor | None,
    attention: Tensor | None,
) -> Joined:
    """Return the gradients of the joined weights from those of a ``ChunkOutput``."""
    weights, hidden, dtype = passed.weights, passed.hidden, passed.first.dtype
    critic, actor = passed.first[: hidden + 1], passed.first[hidden:]
    d_moves, d_value = moves.to(dtype), value[None].to(dtype)

    d_second = torch.empty_like(passed.second)
    torch.mm(weights.value.T, d_value, out=d_second[:hidden])
    torch.mm(weights.act.T, d_moves, out=d_second[hidden : 2 * hidden])
    tanh_backward_(d_second[: 2 * hidden], passed.layers)
    d_heard = _backward_of_hearing(passed, d_second, message)
    d_read = _backward_of_memory(passed, d_second, gate)

    d_first = torch.empty_like(passed.first)
    torch.mm(weights.critic.T, d_second[:hidden], out=d_first[: hidden + 1])
    torch.mm(weights.think.T, d_second[hidden:], out=d_first[hidden:])
    tanh_backward_(d_first, passed.first)  # 0 where the one stands
    gradients = Joined(
        enter=(passed.inputs @ d_first.T).T,
        critic=d_second[:hidden] @ critic.T,
        think=d_second[hidden:] @ actor.T,
        act=d_moves @ passed.layers[hidden:].T,
        act_bias=d_moves.sum(dim=1, keepdim=True),
        value=d_value @ passed.layers[:hidden].T,
        value_bias=d_value.sum(dim=1, keepdim=True),
        scent=_backward_of_attention(passed, d_first, moves, attention),
        read=d_read,
        heard=d_heard,
    )
    return Joined._make(None if gradient is None else gradient.float() for gradient in gradients)


def _backward_of_hearing(
    passed: _Forward, d_second: Tensor, message: Tensor | None
) -> Tensor | None:
    """Write the gradient of what is said; return that of the weights of what is heard."""
    if passed.heard is None or passed.weights.heard is None:
        return None
    assert passed.chunk.ears is not None
    columns = 2 * passed.hidden
    d_heard = (passed.weights.heard.T @ d_second[:columns]).float()
    d_said = d_second[columns : columns + passed.said].view(-1, *passed.shape)
    d_said.copy_(passed.chunk.ears.back(d_heard.view(-1, *passed.shape)))
    if message is not None:
        d_said += message.view_as(d_said)
    return (passed.heard @ d_second[:columns].T).T


def _backward_of_memory(passed: _Forward, d_second: Tensor, gate: Tensor | None) -> Tensor | None:
    """Write the gradient of what is written; return that of the weights of what is read."""
    if passed.weights.read is None:
        return None
    assert isinstance(passed.memory, ChunkPass)
    columns = passed.weights.read.shape[0]
    d_read = passed.weights.read.T @ d_second[:columns]
    d_gate = None if gate is None else gate.view(passed.shape)
    d_written = d_second[columns:]
    found = d_written.float()  # the same where they are float32
    passed.memory.backward(d_read.float(), d_gate, out=found)
    if found is not d_written:
        d_written.copy_(found)
    return (passed.memory.read.to(d_second.dtype) @ d_second[:columns].T).T


def _backward_of_attention(
    passed: _Forward, d_first: Tensor, moves: Tensor, weights: Tensor | None
) -> Tensor | None:
    """Return the gradient of the attention's keys times its query."""
    if passed.attention is None:
        return None
    actor = passed.weights.enter[passed.hidden + 1 :, _OBSERVED:]
    d_attended = (actor.T @ d_first[passed.hidden + 1 :]).float()
    return passed.attention.backward(d_attended, moves[:NUM_MOVES], weights)
