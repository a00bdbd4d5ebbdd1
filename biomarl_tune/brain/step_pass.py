"""One step of the brain in whole worlds, without gradients, as sampling and replay take it.

``BioPolicy.step`` says what is computed. With so few rows a call of torch costs more than its
arithmetic, so torch is left the large products and the hyperbolic tangents, the rest is compiled,
and all buffers are made once. Letters: E worlds, N agents, B = E N rows, H hidden, M message,
K = V memory width.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biomarl_tune.brain.activation import tanh_
from biomarl_tune.brain.arrays import arrays
from biomarl_tune.brain.attention import attend
from biomarl_tune.brain.communication import listen
from biomarl_tune.brain.joined import OBSERVED, ONE, ORDER, REST, SCENTS, Factors
from biomarl_tune.brain.plasticity import write_and_read
from biomarl_tune.brain.policy import BioPolicy, PolicyOutput
from biomarl_tune.colony.lattice import NUM_MOVES


class StepPass:
    """Answers one step of E worlds after the other.

    ``memory`` [E, N, K, V] is what the agents remember; ``output`` is the latest answer, without
    the memory. Both are overwritten by the next one.

    Args:
        policy: the brain; only its settings are taken.
        worlds: E.
    """

    def __init__(self, policy: BioPolicy, worlds: int) -> None:
        model, shape = policy.model, (worlds, policy.agents)
        rows, hidden, width = worlds * policy.agents, model.hidden_dim, model.memory_dim
        self._near, self._eta = policy.neighbours, np.float32(model.neural_plasticity_rate)
        said = model.message_dim if model.messages else 0
        written = 3 * width + 1 if model.plasticity else 0
        self.memory = policy.initial_memory(worlds)
        self._inputs = torch.ones(OBSERVED + 1 + NUM_MOVES, rows)
        self._projected, self._logits = torch.empty(8, rows), torch.empty(NUM_MOVES, rows)
        self._first = torch.empty(2 * hidden + 1, rows)
        self._second = torch.empty(2 * hidden + said + written, rows)
        self._read, self._heard = torch.empty(width, rows), torch.empty(said, rows)
        self._moves, self._value = torch.empty(NUM_MOVES + 1, rows), torch.empty(1, rows)
        self._observed, self._obs = self._inputs[:OBSERVED], self._inputs[:ONE]
        self._rest, self._attended = self._inputs[REST], self._inputs[OBSERVED:]
        self._critic, self._actor = self._first[: hidden + 1], self._first[hidden:]
        self._one, self._attending = self._actor[0], self._actor[1:]
        self._next_critic, self._next_actor = self._second[:hidden], self._second[hidden:]
        self._layers = self._second[: 2 * hidden]
        self._last_critic, self._last_actor = self._layers[:hidden], self._layers[hidden:]
        self._told = self._second[: 2 * hidden + said]
        spoken, self._written = torch.split(self._second[2 * hidden :], [said, written])
        self._values = self._written[2 * width : 3 * width]
        self._gate = self._written[3 * width] if written else None
        self._arrays = _Arrays(
            attention=arrays(self._projected, self._inputs[SCENTS], self._attended, self._logits),
            memory=arrays(
                self._written, self.memory.permute(2, 3, 0, 1).view(width, width, -1), self._read
            ),
            speech=arrays(spoken.view(-1, *shape, 1), self._heard.view(-1, *shape, 1)),
        )

        def agents_first(columns: Tensor) -> Tensor:
            return columns.view(-1, *shape).permute(1, 2, 0)

        self.output = PolicyOutput(
            logits=agents_first(self._moves[:NUM_MOVES]),
            value=self._value.view(shape),
            detector=self._moves[NUM_MOVES].view(shape),
            memory=None,
            message=agents_first(spoken) if said else None,
            gate=None if self._gate is None else self._gate.view(shape),
            attention=agents_first(self._attended[1:]) if model.pheromone_attention else None,
        )

    def answer(self, weights: Factors, obs: Tensor, cell: NDArray[np.int64]) -> PolicyOutput:
        """Answer as ``policy.step`` does.

        Args:
            weights: of the brain.
            obs: [E, N, 12].
            cell: [E, N] in which every agent stands.
        """
        torch.index_select(obs.permute(2, 0, 1).flatten(1), 0, ORDER, out=self._obs)
        self._enter(weights)
        torch.mm(weights.critic, self._critic, out=self._next_critic)
        torch.mm(weights.think, self._actor, out=self._next_actor)
        if weights.read is not None and self._gate is not None:
            tanh_(self._values)
            self._gate.sigmoid_()
            written, memory, read = self._arrays.memory
            write_and_read(written, memory, self._eta, read)
            self._told.addmm_(weights.read, self._read)
        if weights.heard is not None:
            said, heard = self._arrays.speech
            listen(said, cell[:, None], self._near, heard, False)
            self._layers.addmm_(weights.heard, self._heard)
        tanh_(self._layers)
        torch.addmm(weights.act_bias, weights.act, self._last_actor, out=self._moves)
        torch.addmm(weights.value_bias, weights.value, self._last_critic, out=self._value)
        if weights.scent is not None:
            self._moves[:NUM_MOVES] += self._logits
        return self.output

    def _enter(self, weights: Factors) -> None:
        """Fill in the first layers."""
        torch.mm(weights.enter, self._observed, out=self._first)
        if weights.scent is not None and weights.into is not None:
            torch.mm(weights.scent, self._rest, out=self._projected)
            attend(*self._arrays.attention)
            self._attending.addmm_(weights.into, self._attended)
        tanh_(self._first)
        self._one.fill_(1.0)


class _Arrays(NamedTuple):
    """The buffers as compiled functions take them."""

    attention: tuple[NDArray[np.float32], ...]
    memory: tuple[NDArray[np.float32], ...]
    speech: tuple[NDArray[np.float32], ...]
