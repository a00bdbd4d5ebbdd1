"""The weights of the brain laid out for the written-out passes: one vector, layers joined.

Layers with like inputs lie together, so that one product serves them all, and the optimiser has
one vector to move. Letters: P weights, H hidden, M message, K = V memory, A attention width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from biomarl_tune.brain.policy import BioPolicy
from biomarl_tune.colony.lattice import NUM_MOVES
from biomarl_tune.colony.observation import CARRYING, NO_SCENT, NUM_COLUMNS, POSITION, SCENT

# the rows that enter: what is observed, scents first, then a one, whose weights are the biases
ORDER = torch.tensor([*range(SCENT.start, SCENT.stop), *NO_SCENT])
ONE = NUM_COLUMNS
OBSERVED = NUM_COLUMNS + 1
SCENTS, REST = slice(0, NUM_MOVES), slice(NUM_MOVES, OBSERVED)  # the rest has the one at its end


class Joined(NamedTuple):
    """Weights [out, in]; outputs stand in the order critic, actor, message, memory.

    Between the first layers of critic and actor stands a one, which both products that follow
    take in: its weights are the biases. Its own weights are 0 and get no gradient.
    """

    enter: Tensor  # [2H + 1, 13] of the observation and a one
    critic: Tensor  # [H, H + 1] of the critic's first layer and a one
    think: Tensor  # [H (+ M) (+ 3K + 1), 1 + H] of a one and the actor's first layer
    act: Tensor  # [8, H] moves and detector, of the actor's second layer
    act_bias: Tensor  # [8, 1]
    value: Tensor  # [1, H] of the critic's second layer
    value_bias: Tensor  # [1, 1]
    keys: Tensor | None  # [8, A] of the attention
    query: Tensor | None  # [A, 6] of what is no scent, and a one
    values: Tensor | None  # [8, A]
    attended: Tensor | None  # [H, A] of what was attended to
    read: Tensor | None  # [2H (+ M), V] of what the memory answers
    heard: Tensor | None  # [2H, M] of what is heard


class Factors(NamedTuple):
    """The weights as rows of agents are multiplied by them."""

    enter: Tensor  # as in ``Joined``, and so on
    critic: Tensor
    think: Tensor
    act: Tensor
    act_bias: Tensor
    value: Tensor
    value_bias: Tensor
    scent: Tensor | None  # [8, 6] the attention's keys times its query; always float32
    into: Tensor | None  # [H, 8] its values times what the actor makes of them
    read: Tensor | None
    heard: Tensor | None


def factors(weights: Joined, dtype: torch.dtype = torch.float32) -> Factors:
    """Take the small products among weights, and turn all but the scent's into a type."""
    scent = into = None
    if weights.keys is not None and weights.query is not None:
        scent = (weights.keys @ weights.query).div_(weights.keys.shape[1] ** 0.5)
    if weights.attended is not None and weights.values is not None:
        into = weights.attended @ weights.values.T
    found = Factors(*weights[:7], scent, into, weights.read, weights.heard)
    if dtype == torch.float32:
        return found
    turned = Factors._make(None if factor is None else factor.to(dtype) for factor in found)
    return turned._replace(scent=scent)


class FlatWeights:
    """A brain's weights, or their gradient, as one vector and as what is multiplied.

    Parts that are switched off are left out. A new one holds zeros.

    Args:
        policy: the brain; only its sizes are taken.
    """

    def __init__(self, policy: BioPolicy) -> None:
        shapes = _shapes(policy)
        sizes = {name: rows * columns for name, (rows, columns) in shapes.items()}
        self.vector = torch.zeros(sum(sizes.values()))  # [P]
        views = zip(shapes, torch.split(self.vector, list(sizes.values())), strict=True)
        parts = {name: view.view(shapes[name]) for name, view in views}
        self.parts = Joined._make(parts.get(name) for name in Joined._fields)

    @classmethod
    @torch.no_grad()
    def of(cls, policy: BioPolicy) -> FlatWeights:
        """Return a copy of a brain's weights."""
        weights = cls(policy)
        for ours, theirs in _places(policy, weights.parts):
            ours.copy_(theirs)
        return weights

    @torch.no_grad()
    def write_to(self, policy: BioPolicy) -> None:
        """Give a brain these weights."""
        for ours, theirs in _places(policy, self.parts):
            theirs.copy_(ours)


def _shapes(policy: BioPolicy) -> dict[str, tuple[int, int]]:
    model = policy.model
    hidden, said, attention = model.hidden_dim, model.message_dim, model.attention_dim
    told = said if model.messages else 0
    written = 3 * model.memory_dim + 1 if model.plasticity else 0
    shapes = {
        "enter": (2 * hidden + 1, OBSERVED),
        "critic": (hidden, hidden + 1),
        "think": (hidden + told + written, 1 + hidden),
        "act": (NUM_MOVES + 1, hidden),
        "act_bias": (NUM_MOVES + 1, 1),
        "value": (1, hidden),
        "value_bias": (1, 1),
    }
    if model.pheromone_attention:
        shapes["keys"] = shapes["values"] = (1 + NUM_MOVES, attention)
        shapes["query"] = (attention, REST.stop - REST.start)
        shapes["attended"] = (hidden, attention)
    if model.plasticity:
        shapes["read"] = (2 * hidden + told, model.memory_dim)
    if model.messages:
        shapes["heard"] = (2 * hidden, said)
    return shapes


Places = list[tuple[Tensor, Tensor]]


def _places(policy: BioPolicy, parts: Joined) -> Places:
    """Return every part of the joined weights with the part of the brain's that it stands for."""
    model, hidden = policy.model, policy.model.hidden_dim
    critic, actor = slice(0, hidden), slice(hidden + 1, None)
    places = [
        *_entering(parts.enter[critic], policy.critic_in),
        *_entering(parts.enter[actor], policy.actor_in),
        (parts.critic[:, :-1], policy.critic_hidden.weight),
        (parts.critic[:, -1], policy.critic_hidden.bias),
        (parts.act[:-1], policy.actor_out.weight),
        (parts.act[-1:], policy.detector.project.weight),
        (parts.act_bias[:-1, 0], policy.actor_out.bias),
        (parts.act_bias[-1], policy.detector.project.bias),
        (parts.value, policy.critic_out.weight),
        (parts.value_bias[0], policy.critic_out.bias),
    ]
    thinking = [policy.actor_hidden]
    reading = [policy.critic_read, policy.actor_read]
    if model.messages:
        thinking.append(policy.message_features)
        reading.append(policy.message_read)
        places += _stacked(parts.heard, [policy.critic_heard, policy.actor_heard])
    if model.plasticity:
        thinking.append(policy.memory_head.project)
        places += _stacked(parts.read, reading)
    places += _stacked(parts.think[:, 1:], thinking)
    biases = torch.split(parts.think[:, 0], [layer.out_features for layer in thinking])
    places += [(ours, layer.bias) for ours, layer in zip(biases, thinking, strict=True)]
    return places + (_attending(policy, parts) if model.pheromone_attention else [])


def _entering(ours: Tensor, layer: torch.nn.Linear) -> Places:
    """Return the places of a layer that takes in the observation."""
    weight, scents = layer.weight, SCENTS.stop
    return [
        (ours[:, SCENTS], weight[:, SCENT]),
        (ours[:, scents : scents + 3], weight[:, POSITION]),
        (ours[:, scents + 3 : ONE], weight[:, CARRYING:]),
        (ours[:, ONE], layer.bias),
    ]


def _stacked(ours: Tensor | None, layers: list[torch.nn.Linear]) -> Places:
    """Return the places of layers one below the other."""
    assert ours is not None
    rows = torch.split(ours, [layer.out_features for layer in layers])
    return [(row, layer.weight) for row, layer in zip(rows, layers, strict=True)]


def _attending(policy: BioPolicy, parts: Joined) -> Places:
    attention = policy.attention
    assert parts.keys is not None
    assert parts.query is not None
    assert parts.values is not None
    assert parts.attended is not None
    return [
        (parts.keys, attention.keys),
        (parts.query[:, :-1], attention.query.weight),
        (parts.query[:, -1], attention.query.bias),
        (parts.values, attention.values),
        (parts.attended, policy.actor_attended.weight),
    ]
