"""The loss of a minibatch and its gradient in closed form, columns first.

``losses.py`` says what is computed, one function a loss; this says the sum of those that every
minibatch has once more, with the gradient written out, at a fraction of the cost. Both are tested
to agree. B is any number of agent steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from biomarl_tune.brain.passes import ChunkOutput
from biomarl_tune.colony.lattice import NUM_MOVES
from biomarl_tune.experiment import PPOSettings
from biomarl_tune.ppo.losses import Batch, attention_loss, loudness_loss, writing_loss


class Rows(NamedTuple):
    """What the losses need of B agent steps."""

    actions: Tensor  # [1, B]
    logp: Tensor  # [B] of the actions when they were chosen
    advantages: Tensor  # [B] normalised
    returns: Tensor  # [B]
    labels: Tensor  # [B] whether a breakthrough followed
    known: Tensor  # [B] 1 where the label is known


def objective(output: ChunkOutput, rows: Rows, ppo: PPOSettings) -> Batch:
    """Return every loss of a minibatch by name, and their weighted sum as ``total``.

    Only ``total`` carries a gradient. The names are those of ``losses.losses``.
    """
    total, parts = _Objective.apply(output.moves, output.value, rows, ppo)  # type: ignore[no-untyped-call]
    found = dict(zip(_PARTS, parts, strict=True))
    if not ppo.detector_coefficient:
        del found["detector_loss"]
    if ppo.plasticity_coefficient and output.gate is not None:
        found["writing_loss"] = writing_loss(output.gate)
        total = total + ppo.plasticity_coefficient * found["writing_loss"]
    if ppo.message_coefficient and output.message is not None:
        found["loudness_loss"] = loudness_loss(output.message)
        total = total + ppo.message_coefficient * found["loudness_loss"]
    if ppo.attention_coefficient and output.attention is not None:
        found["attention_loss"] = attention_loss(output.attention.T)
        total = total + ppo.attention_coefficient * found["attention_loss"]
    return {**found, "total": total}


_PARTS = ("policy_loss", "value_loss", "entropy", "kl", "detector_loss")


class _Objective(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, moves: Tensor, value: Tensor, rows: Rows, ppo: PPOSettings) -> Any:
        d_moves = torch.zeros_like(moves)
        policy, entropy, kl = _policy(moves[:NUM_MOVES], rows, ppo, out=d_moves[:NUM_MOVES])
        error = value - rows.returns
        d_value = error * (2.0 * ppo.value_coefficient / value.numel())
        parts = [policy, error.square().mean(), entropy, kl, policy.new_zeros(())]
        total = policy + ppo.value_coefficient * parts[1] - ppo.entropy_coefficient * entropy
        if ppo.detector_coefficient:
            parts[4] = _detector(moves[NUM_MOVES], rows, ppo, out=d_moves[NUM_MOVES])
            total += ppo.detector_coefficient * parts[4]
        ctx.save_for_backward(d_moves, d_value)
        stacked = torch.stack(parts)
        ctx.mark_non_differentiable(stacked)
        return total, stacked

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        d_moves, d_value = ctx.saved_tensors
        return gradients[0] * d_moves, gradients[0] * d_value, None, None


def _policy(
    logits: Tensor, rows: Rows, ppo: PPOSettings, *, out: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return surrogate loss, entropy and KL; write the gradient of the logits [7, B].

    With p the softmax of the logits z and H its entropy, the gradients are
    ``d log p_a / d z_j = [j = a] - p_j`` and ``d H / d z_j = -p_j (log p_j + H)``.
    """
    shifted = logits - logits.amax(dim=0)
    chance = shifted.exp()
    total = chance.sum(dim=0)
    chance /= total
    logp_all = shifted.sub_(total.log_())
    logp = logp_all.gather(0, rows.actions)[0]
    change = logp - rows.logp
    ratio = change.exp()
    gain = ratio * rows.advantages
    clipped = ratio.clamp(1.0 - ppo.clip, 1.0 + ppo.clip).mul_(rows.advantages)
    teaches = gain <= clipped  # elsewhere the ratio has gone far enough: no gradient
    d_logp = (gain * teaches).mul_(-1.0 / gain.numel())
    each = (chance * logp_all).sum(dim=0)  # minus the entropy of each step
    torch.sub(logp_all, each, out=out)
    out.mul_(ppo.entropy_coefficient / gain.numel()).sub_(d_logp).mul_(chance)
    out.scatter_add_(0, rows.actions, d_logp[None])
    surrogate = -torch.minimum(gain, clipped).mean()
    return surrogate, -each.mean(), (ratio - 1.0 - change).mean()


def _detector(logit: Tensor, rows: Rows, ppo: PPOSettings, *, out: Tensor) -> Tensor:
    """Return the detector's cross-entropy; write the gradient of its logits [B]."""
    share = 1.0 / rows.known.sum().clamp(min=1.0)
    each = logit.clamp(min=0.0) - logit * rows.labels + logit.abs().neg_().exp_().log1p_()
    torch.sub(logit.sigmoid(), rows.labels, out=out)
    out.mul_(rows.known).mul_(share * ppo.detector_coefficient)
    return (each * rows.known).sum() * share
