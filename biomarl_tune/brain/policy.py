"""The brain: two networks of two hidden layers, with the four bio parts between them.

    actor    h1 = tanh(W1 o + attended),  h2 = tanh(W2 h1 + memory read + messages heard)
    logits   W h2 + attention logits;     detector: from h2
    critic   the same shape with its own weights; it hears and remembers what the actor does

With every switch off this is the plain pair of multi-layer perceptrons that PPO is run with.
Letters: E or W worlds, T steps, N agents, B rows (agents of any world and step), H hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from biomarl_tune.brain.activation import fast_tanh
from biomarl_tune.brain.attention import PheromoneAttention
from biomarl_tune.brain.breakthrough import BreakthroughHead
from biomarl_tune.brain.communication import Ears, Neighbourhood, hear
from biomarl_tune.brain.plasticity import MemoryHead, Write, chunk_read, recurrent_step
from biomarl_tune.colony import lattice
from biomarl_tune.colony.observation import NO_SCENT, NUM_COLUMNS, POSITION, SCENT
from biomarl_tune.experiment import EnvSettings, ModelSettings


@dataclass(frozen=True)
class PolicyOutput:
    """What the brain answers; the leading axes are those of the observations."""

    logits: Tensor  # [..., N, 7]
    value: Tensor  # [..., N]
    detector: Tensor  # [..., N] logit of a breakthrough ahead
    memory: Tensor | None  # [E, N, K, V] after the step; None where it is kept apart
    message: Tensor | None  # [..., N, M] None when messages are off
    gate: Tensor | None  # [..., N] the neuromodulator; None when plasticity is off
    attention: Tensor | None  # [..., N, 7] weights; None when attention is off


class BioPolicy(nn.Module):
    """The shared policy of a colony.

    Args:
        env: for the lattice and the communication range; no weight depends on it.
        model: widths, switches and the plasticity rate. Switches change what is computed, not
            which weights there are, so an ablation can replay a trained brain with a part off.
    """

    def __init__(self, env: EnvSettings, model: ModelSettings) -> None:
        super().__init__()
        self.model = model
        hidden, memory, message = model.hidden_dim, model.memory_dim, model.message_dim
        self.agents = env.num_agents
        self._grid = env.grid_size
        self._neighbourhood = Neighbourhood(env.grid_size, env.communication_range)
        self.actor_in = nn.Linear(NUM_COLUMNS, hidden)
        self.actor_hidden = nn.Linear(hidden, hidden)
        self.actor_out = nn.Linear(hidden, lattice.NUM_MOVES)
        self.critic_in = nn.Linear(NUM_COLUMNS, hidden)
        self.critic_hidden = nn.Linear(hidden, hidden)
        self.critic_out = nn.Linear(hidden, 1)
        self.attention = PheromoneAttention(len(NO_SCENT), model.attention_dim)
        self.actor_attended = nn.Linear(model.attention_dim, hidden, bias=False)
        self.memory_head = MemoryHead(hidden, memory)
        self.actor_read = nn.Linear(memory, hidden, bias=False)
        self.critic_read = nn.Linear(memory, hidden, bias=False)
        self.message_features = nn.Linear(hidden, message)
        self.message_read = nn.Linear(memory, message, bias=False)
        self.actor_heard = nn.Linear(message, hidden, bias=False)
        self.critic_heard = nn.Linear(message, hidden, bias=False)
        self.detector = BreakthroughHead(hidden)
        self._initialise()

    def _initialise(self) -> None:
        """Draw orthogonal weights; the policy starts near uniform (Huang et al. 2022)."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.orthogonal_(module.weight, 2**0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.orthogonal_(self.actor_out.weight, 0.01)
        nn.init.orthogonal_(self.critic_out.weight, 1.0)
        nn.init.orthogonal_(self.memory_head.project.weight, 1.0)
        nn.init.zeros_(self.attention.query.weight)

    def initial_memory(self, worlds: int) -> Tensor:
        """Return empty memories [worlds, N, K, V], the agents last in the computer's memory."""
        width = self.model.memory_dim
        return torch.zeros(width, width, worlds, self.agents).permute(2, 3, 0, 1)

    def step(self, obs: Tensor, memory: Tensor) -> PolicyOutput:
        """Answer one step of whole worlds, in the recurrent form.

        Args:
            obs: [E, N, 12].
            memory: [E, N, K, V] before the step.
        """

        def remember(write: Write) -> Tensor:
            nonlocal memory
            flat = Write(*(x.flatten(0, 1) for x in write))
            read, after = recurrent_step(
                memory.flatten(0, 1), flat, eta=self.model.neural_plasticity_rate
            )
            memory = after.view_as(memory)
            return read.view(*obs.shape[:2], -1)

        output = self._forward(obs, remember)
        return PolicyOutput(**{**vars(output), "memory": memory})

    def sequence(self, obs: Tensor, first: Tensor, memory: Tensor) -> PolicyOutput:
        """Answer T steps of whole worlds at once, in the chunkwise form.

        Args:
            obs: [W, T, N, 12].
            first: [W, T] bool, an episode begins at the step.
            memory: [W, N, K, V] before the first step.
        """

        def remember(write: Write) -> Tensor:
            return chunk_read(write, memory, first, eta=self.model.neural_plasticity_rate)

        return self._forward(obs, remember)

    def _forward(self, obs: Tensor, remember: Callable[[Write], Tensor]) -> PolicyOutput:
        """Answer observations [..., N, 12].

        Layers that read the same features are one product over their joined weights, sums go
        into products (``addmm``), and what has seven columns is kept column by column, because
        a short last axis is slow.
        """
        model, shape = self.model, obs.shape[:-1]
        columns = obs.reshape(-1, NUM_COLUMNS).T.contiguous()  # [12, B]
        rows = columns.T
        actor, critic = _joined(rows, self.actor_in, self.critic_in)
        bias = weights = message = gate = None
        if model.pheromone_attention:
            bias, weights, attended = self.attention(rows[:, SCENT], rows[:, NO_SCENT])
            actor = torch.addmm(actor, attended, self.actor_attended.weight.T)
        features = fast_tanh(actor)
        actor, said, written = self._think(features)
        critic = self.critic_hidden(fast_tanh(critic))
        taken_in: list[tuple[Tensor, nn.Linear, nn.Linear]] = []
        if written is not None:
            write = self.memory_head.write(written.view(*shape, -1))
            read = remember(write).reshape(rows.shape[0], -1)
            gate = write.gate.squeeze(-1)
            taken_in.append((read, self.actor_read, self.critic_read))
            if said is not None:
                said = torch.addmm(said, read, self.message_read.weight.T)
        if said is not None:
            message = said.view(-1, self.agents, model.message_dim)
            heard = hear(
                message, self.cells(rows).view(-1, self.agents), self._neighbourhood
            ).flatten(0, 1)
            taken_in.append((heard, self.actor_heard, self.critic_heard))
            message = message.view(*shape, -1)
        for what, to_actor, to_critic in taken_in:
            actor = torch.addmm(actor, what, to_actor.weight.T)
            critic = torch.addmm(critic, what, to_critic.weight.T)
        logits, detector = self._act(fast_tanh(actor), bias)
        return PolicyOutput(
            logits=logits.T.view(*shape, -1),
            value=self.critic_out(fast_tanh(critic)).view(shape),
            detector=detector.view(shape),
            memory=None,
            message=message,
            gate=gate,
            attention=None if weights is None else weights.view(*shape, -1),
        )

    def _think(self, features: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return what features [B, H] give for the next layer, the message and the memory."""
        layers = {"actor": self.actor_hidden}
        if self.model.messages:
            layers["message"] = self.message_features
        if self.model.plasticity:
            layers["memory"] = self.memory_head.project
        parts = dict(zip(layers, _joined(features, *layers.values()), strict=True))
        return parts["actor"], parts.get("message"), parts.get("memory")

    def _act(self, features: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the move logits [7, B], with attention's [B, 7] added, and the detector's [B]."""
        heads = (self.actor_out, self.detector.project)
        weight = torch.cat([head.weight for head in heads])
        out = torch.addmm(torch.cat([head.bias for head in heads]).unsqueeze(1), weight, features.T)
        logits = out[: lattice.NUM_MOVES]
        return logits if bias is None else logits + bias.T, out[lattice.NUM_MOVES]

    @property
    def neighbours(self) -> NDArray[np.int64]:
        """Cells in communication range of each [C, .], padded with C."""
        return self._neighbourhood.lists.numpy()

    def ears(self, cell: NDArray[np.int64]) -> Ears:
        """Return who hears whom of agents in cells [W, T, N]."""
        return Ears(cell, self._neighbourhood)

    def cells(self, obs: Tensor) -> Tensor:
        """Return the cell [...] that each observed position [..., 12] stands for."""
        scale = obs.new_tensor([0.5 * (n - 1) for n in self._grid])
        x, y, z = ((obs[..., POSITION] + 1.0) * scale).round_().unbind(dim=-1)
        return ((x * self._grid[1] + y) * self._grid[2] + z).long()


def _joined(features: Tensor, *layers: nn.Linear) -> tuple[Tensor, ...]:
    """Return what each layer makes of the same features, by one product."""
    if len(layers) == 1:
        return (layers[0](features),)
    weight = torch.cat([layer.weight for layer in layers])
    bias = torch.cat([layer.bias for layer in layers])
    joined = functional.linear(features, weight, bias)
    return tuple(torch.split(joined, [layer.out_features for layer in layers], dim=1))
