"""The weights of the brain as the products that are taken: layers with like inputs joined.

Autograd follows these few small sums and products of weights; what happens to the rows of agents
is written out in ``passes.py``. Letters: H hidden, M message, K = V memory width, I inputs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from biomarl_tune.brain.policy import BioPolicy
from biomarl_tune.colony.lattice import NUM_MOVES
from biomarl_tune.colony.observation import NO_SCENT, NUM_COLUMNS


class Joined(NamedTuple):
    """Weights [out, in]; outputs stand in the order critic, actor, message, memory.

    Between the first layers of critic and actor stands a one, which both products that follow
    take in: its weights are the biases.
    """

    enter: Tensor  # [2H + 1, I] of the observation, a one and, with attention, what it attends to
    critic: Tensor  # [H, H + 1] of the critic's first layer and a one
    think: Tensor  # [H (+ M) (+ 3K + 1), 1 + H] of a one and the actor's first layer
    act: Tensor  # [8, H] moves and detector, of the actor's second layer
    act_bias: Tensor  # [8, 1]
    value: Tensor  # [1, H] of the critic's second layer
    value_bias: Tensor  # [1, 1]
    scent: Tensor | None  # [8, 13] the attention's keys times its query
    read: Tensor | None  # [2H (+ M), V] of what the memory answers
    heard: Tensor | None  # [2H, M] of what is heard


def joined(policy: BioPolicy) -> Joined:
    """Join a brain's weights; parts that are switched off are left out."""
    model = policy.model
    thinking = [policy.actor_hidden]
    readers = [policy.critic_read, policy.actor_read]
    if model.messages:
        thinking.append(policy.message_features)
        readers.append(policy.message_read)
    if model.plasticity:
        thinking.append(policy.memory_head.project)
    acting = (policy.actor_out, policy.detector.project)
    hearers = (policy.critic_heard, policy.actor_heard)
    return Joined(
        enter=_enter(policy),
        critic=torch.cat([policy.critic_hidden.weight, policy.critic_hidden.bias[:, None]], dim=1),
        think=torch.cat(
            [
                torch.cat([layer.bias for layer in thinking])[:, None],
                torch.cat([layer.weight for layer in thinking]),
            ],
            dim=1,
        ),
        act=torch.cat([layer.weight for layer in acting]),
        act_bias=torch.cat([layer.bias for layer in acting])[:, None],
        value=policy.critic_out.weight,
        value_bias=policy.critic_out.bias[:, None],
        scent=_scent(policy) if model.pheromone_attention else None,
        read=torch.cat([layer.weight for layer in readers]) if model.plasticity else None,
        heard=torch.cat([layer.weight for layer in hearers]) if model.messages else None,
    )


def _enter(policy: BioPolicy) -> Tensor:
    """Return the first layers' weights of the observation, of a one (the biases) and of scents.

    What is attended to is ``values^T (smelled, weights)``, so its product with the actor's
    weights is a product of those with ``(smelled, weights)``.
    """
    critic, actor = policy.critic_in, policy.actor_in
    none = critic.weight.new_zeros(1, NUM_COLUMNS)  # where the one between them comes to stand
    columns = [
        torch.cat([critic.weight, none, actor.weight]),
        torch.cat([critic.bias, none[0, :1], actor.bias])[:, None],
    ]
    if policy.model.pheromone_attention:
        attended = policy.actor_attended.weight @ policy.attention.values.T
        rest = attended.new_zeros(critic.out_features + 1, attended.shape[1])
        columns.append(torch.cat([rest, attended]))
    return torch.cat(columns, dim=1)


def _scent(policy: BioPolicy) -> Tensor:
    """Return the keys times the query, as weights of the observation and a one."""
    attention = policy.attention
    keys = attention.keys / attention.keys.shape[1] ** 0.5
    columns = torch.tensor(NO_SCENT, device=keys.device)
    rest = keys.new_zeros(1 + NUM_MOVES, NUM_COLUMNS)
    rest = rest.index_copy(1, columns, keys @ attention.query.weight)
    return torch.cat([rest, keys @ attention.query.bias[:, None]], dim=1)
