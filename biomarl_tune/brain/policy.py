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

import torch
from torch import Tensor, nn

from biomarl_tune.brain.activation import fast_tanh
from biomarl_tune.brain.attention import PheromoneAttention
from biomarl_tune.brain.breakthrough import BreakthroughHead
from biomarl_tune.brain.communication import Neighbourhood, hear
from biomarl_tune.brain.plasticity import MemoryHead, Write, chunk_read, recurrent_step
from biomarl_tune.colony import lattice
from biomarl_tune.colony.observation import NO_SCENT, NUM_COLUMNS, SCENT
from biomarl_tune.experiment import EnvSettings, ModelSettings


@dataclass(frozen=True)
class PolicyOutput:
    """What the brain answers; the leading axes are those of the observations."""

    logits: Tensor  # [..., N, 7]
    value: Tensor  # [..., N]
    detector: Tensor  # [..., N] logit of a breakthrough ahead
    memory: Tensor | None  # [E, N, K, V] after the step; None for a chunk
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
        self._neighbourhood = Neighbourhood(
            torch.from_numpy(lattice.neighbour_lists(env.grid_size, env.communication_range))
        )
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
        """Return empty memories [worlds, N, K, V]."""
        width = self.model.memory_dim
        return torch.zeros(worlds, self.agents, width, width, device=self.actor_in.weight.device)

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
        model, shape = self.model, obs.shape[:-1]
        rows = obs.reshape(-1, NUM_COLUMNS)
        actor, critic = self.actor_in(rows), self.critic_in(rows)
        bias = weights = message = gate = None
        if model.pheromone_attention:
            bias, weights, attended = self.attention(rows[:, SCENT], rows[:, NO_SCENT])
            actor = actor + self.actor_attended(attended)
        features = fast_tanh(actor)
        actor = self.actor_hidden(features)
        critic = self.critic_hidden(fast_tanh(critic))
        read = None
        if model.plasticity:
            write = self.memory_head(features.view(*shape, -1))
            read = remember(write).reshape(rows.shape[0], -1)
            gate = write.gate.squeeze(-1)
            actor = actor + self.actor_read(read)
            critic = critic + self.critic_read(read)
        if model.messages:
            said = self.message_features(features)
            if read is not None:
                said = said + self.message_read(read)
            message = said.view(-1, self.agents, model.message_dim)
            heard = hear(message, self._cells(rows), self._neighbourhood).flatten(0, 1)
            actor = actor + self.actor_heard(heard)
            critic = critic + self.critic_heard(heard)
            message = message.view(*shape, -1)
        features = fast_tanh(actor)
        logits = self.actor_out(features)
        if bias is not None:
            logits = logits + bias
        value = self.critic_out(fast_tanh(critic))
        return PolicyOutput(
            logits=logits.view(*shape, -1),
            value=value.view(shape),
            detector=self.detector(features).view(shape),
            memory=None,
            message=message,
            gate=gate,
            attention=None if weights is None else weights.view(*shape, -1),
        )

    def _cells(self, rows: Tensor) -> Tensor:
        """Return the cell [B / N, N] that each observed position [B, 12] stands for."""
        x, y, z = ((rows[:, i] + 1.0) * (0.5 * (n - 1)) for i, n in enumerate(self._grid))
        cell = (x.round() * self._grid[1] + y.round()) * self._grid[2] + z.round()
        return cell.long().view(-1, self.agents)
