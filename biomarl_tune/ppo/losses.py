"""PPO's losses and the bio losses, one function each, and their weighted sum.

All take tensors of any equal shape, one entry an agent step, and return a mean.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from biomarl_tune.brain.policy import PolicyOutput
from biomarl_tune.experiment import PPOSettings

Batch = dict[str, Tensor]

LEAST_WEIGHT = 1e-8  # of the attention; the logarithm of less is not taken


def log_probabilities(logits: Tensor) -> Tensor:
    """Return ``log softmax`` over the last axis; torch's own is slow on a short last axis."""
    shifted = logits - logits.detach().amax(dim=-1, keepdim=True)
    return shifted - shifted.exp().sum(dim=-1, keepdim=True).log()


def clipped_surrogate_loss(ratio: Tensor, advantage: Tensor, *, clip: float) -> Tensor:
    """PPO's clipped policy loss (Schulman et al. 2017, eq. 7).

        L = -mean(min(r A, clip(r, 1 - e, 1 + e) A))

    Args:
        ratio: new over old probability of the move.
        advantage: no gradient flows through it.
        clip: e above.
    """
    clipped = ratio.clamp(1.0 - clip, 1.0 + clip)
    return -torch.minimum(ratio * advantage, clipped * advantage).mean()


def value_loss(value: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of the values."""
    return functional.mse_loss(value, target)


def entropy(logp_all: Tensor) -> Tensor:
    """Mean entropy in nats of move distributions given as log probabilities [..., 7]."""
    return -(logp_all.exp() * logp_all).sum(dim=-1).mean()


def approximate_kl(ratio: Tensor) -> Tensor:
    """Mean of ``r - 1 - log r``, an unbiased estimate of KL(old || new) (Schulman 2020)."""
    return (ratio - 1.0 - ratio.log()).mean()


def detector_loss(logit: Tensor, label: Tensor, known: Tensor) -> Tensor:
    """Binary cross-entropy of the breakthrough detector over the steps whose label is known."""
    each = functional.binary_cross_entropy_with_logits(logit, label, reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1.0)


def writing_loss(gate: Tensor) -> Tensor:
    """Mean of the neuromodulator: the cost of writing to the memory."""
    return gate.mean()


def loudness_loss(message: Tensor) -> Tensor:
    """Mean square of the messages [..., M]: the cost of loud messages."""
    return message.square().mean()


def attention_loss(weights: Tensor) -> Tensor:
    """Mean entropy in nats of the attention weights [..., 7]: the cost of looking everywhere."""
    return -(weights * weights.clamp(min=LEAST_WEIGHT).log()).sum(dim=-1).mean()


def losses(output: PolicyOutput, batch: Batch, ppo: PPOSettings) -> Batch:
    """Return every loss of a minibatch by name, and their weighted sum as ``total``.

    Args:
        output: the brain's answer to ``batch["obs"]``.
        batch: ``actions``, ``logp``, ``advantages``, ``returns``, ``labels`` and ``label_mask``,
            all [W, T, N].
        ppo: the coefficients.
    """
    logp_all = log_probabilities(output.logits)
    logp = logp_all.gather(-1, batch["actions"].unsqueeze(-1)).squeeze(-1)
    ratio = (logp - batch["logp"]).exp()
    parts = {
        "policy_loss": clipped_surrogate_loss(ratio, batch["advantages"], clip=ppo.clip),
        "value_loss": value_loss(output.value, batch["returns"]),
        "entropy": entropy(logp_all),
        "kl": approximate_kl(ratio.detach()),
    }
    total = (
        parts["policy_loss"]
        + ppo.value_coefficient * parts["value_loss"]
        - ppo.entropy_coefficient * parts["entropy"]
    )
    for name, coefficient, loss in _bio_losses(output, batch, ppo):
        parts[name] = loss
        total = total + coefficient * loss
    return {**parts, "total": total}


def _bio_losses(
    output: PolicyOutput, batch: Batch, ppo: PPOSettings
) -> list[tuple[str, float, Tensor]]:
    found = []
    if ppo.detector_coefficient:
        loss = detector_loss(output.detector, batch["labels"], batch["label_mask"])
        found.append(("detector_loss", ppo.detector_coefficient, loss))
    if ppo.plasticity_coefficient and output.gate is not None:
        found.append(("writing_loss", ppo.plasticity_coefficient, writing_loss(output.gate)))
    if ppo.message_coefficient and output.message is not None:
        found.append(("loudness_loss", ppo.message_coefficient, loudness_loss(output.message)))
    if ppo.attention_coefficient and output.attention is not None:
        loss = attention_loss(output.attention)
        found.append(("attention_loss", ppo.attention_coefficient, loss))
    return found
