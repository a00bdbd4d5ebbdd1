"""One step of the brain in whole worlds, without gradients, as sampling and replay take it.

``BioPolicy.step`` says what is computed. With so few rows a call of torch costs more than its
arithmetic, so torch is left the large products and the hyperbolic tangents, the rest is compiled,
and all buffers are made once. Letters: E worlds, N agents, B = E N rows, H hidden, M message,
K = V memory width.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biomarl_tune.brain.activation import tanh_
from biomarl_tune.brain.attention import attend
from biomarl_tune.brain.communication import listen
from biomarl_tune.brain.joined import OBSERVED, ONE, ORDER, REST, SCENTS, Factors
from biomarl_tune.brain.plasticity import write_and_read
from biomarl_tune.brain.policy import BioPolicy, PolicyOutput
from biomarl_tune.colony.lattice import NUM_MOVES

_ORDER = torch.tensor(ORDER)


class Moment:
    """Answers one step of E worlds after the other.

    Args:
        policy: the brain; only its settings are taken.
        worlds: E.
    """

    def __init__(self, policy: BioPolicy, worlds: int) -> None:
        model, self._policy = policy.model, policy
        self._shape = (worlds, policy.agents)
        rows, hidden = worlds * policy.agents, model.hidden_dim
        said = model.message_dim if model.messages else 0
        written = 3 * model.memory_dim + 1 if model.plasticity else 0
        self._inputs = torch.ones(OBSERVED + 1 + NUM_MOVES, rows)
        self._logits = torch.empty(NUM_MOVES, rows)
        self._first = torch.empty(2 * hidden + 1, rows)
        self._second = torch.empty(2 * hidden + said + written, rows)
        self._read = torch.empty(model.memory_dim, rows)
        self._moves, self._value = torch.empty(NUM_MOVES + 1, rows), torch.empty(1, rows)
        self._observed, self._obs = self._inputs[:OBSERVED], self._inputs[:ONE]
        self._critic, self._actor = self._first[: hidden + 1], self._first[hidden:]
        self._next_critic, self._next_actor = self._second[:hidden], self._second[hidden:]
        self._layers = self._second[: 2 * hidden]
        self._told = self._second[: 2 * hidden + said]
        self._said = self._second[2 * hidden : 2 * hidden + said]
        self._written = self._second[2 * hidden + said :]
        self._heard = torch.empty_like(self._said)
        self._speech, self._hearing = (
            columns.view(-1, *self._shape, 1).numpy() for columns in (self._said, self._heard)
        )

    def answer(
        self, weights: Factors, obs: Tensor, cell: NDArray[np.int64], memory: Tensor
    ) -> PolicyOutput:
        """Answer as ``policy.step`` does; the next answer overwrites this one.

        Args:
            weights: of the brain.
            obs: [E, N, 12].
            cell: [E, N] in which every agent stands.
            memory: [E, N, K, V] before the step, laid out as the policy's ``initial_memory``;
                overwritten by that after it.
        """
        torch.index_select(obs.permute(2, 0, 1).flatten(1), 0, _ORDER, out=self._obs)
        self._enter(weights)
        torch.mm(weights.critic, self._critic, out=self._next_critic)
        torch.mm(weights.think, self._actor, out=self._next_actor)
        gate = self._remember(weights, memory)
        if weights.heard is not None:
            listen(self._speech, cell[:, None], self._policy.neighbours, self._hearing, False)
            self._layers.addmm_(weights.heard, self._heard)
        hidden = weights.critic.shape[0]
        tanh_(self._layers)
        torch.addmm(weights.act_bias, weights.act, self._layers[hidden:], out=self._moves)
        torch.addmm(weights.value_bias, weights.value, self._layers[:hidden], out=self._value)
        logits = self._moves[:NUM_MOVES]
        if weights.scent is not None:
            logits += self._logits
        return PolicyOutput(
            logits=self._agents_first(logits),
            value=self._value.view(self._shape),
            detector=self._moves[NUM_MOVES].view(self._shape),
            memory=memory,
            message=None if weights.heard is None else self._agents_first(self._said),
            gate=gate,
            attention=None if weights.scent is None else self._attention(),
        )

    def _enter(self, weights: Factors) -> None:
        """Fill in the first layers."""
        torch.mm(weights.enter, self._observed, out=self._first)
        if weights.scent is not None and weights.into is not None:
            inputs = self._inputs
            projected, attended = weights.scent @ inputs[REST], inputs[OBSERVED:]
            attend(
                projected.numpy(), inputs[SCENTS].numpy(), attended.numpy(), self._logits.numpy()
            )
            self._actor[1:].addmm_(weights.into, attended)
        tanh_(self._first)
        self._actor[0] = 1.0

    def _remember(self, weights: Factors, memory: Tensor) -> Tensor | None:
        """Write, read, take what was read into networks and message; return the gates [E, N]."""
        if weights.read is None:
            return None
        width = weights.read.shape[1]
        tanh_(self._written[2 * width : 3 * width])
        gate = self._written[3 * width].sigmoid_()
        eta = np.float32(self._policy.model.neural_plasticity_rate)
        columns = memory.permute(2, 3, 0, 1).flatten(2)
        write_and_read(self._written.numpy(), columns.numpy(), eta, self._read.numpy())
        self._told.addmm_(weights.read, self._read)
        return gate.view(self._shape)

    def _agents_first(self, columns: Tensor) -> Tensor:
        return columns.view(-1, *self._shape).permute(1, 2, 0)

    def _attention(self) -> Tensor:
        return self._agents_first(self._inputs[-NUM_MOVES:])
