"""The losses of a minibatch and their gradient in closed form, columns first.

``losses.py`` says what is computed, one function a loss; this says their sum once more, with the
gradient written out, at a fraction of the cost. Both are tested to agree. B is any number of
agent steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biomarl_tune.brain.passes import ChunkOutput
from biomarl_tune.compiled import compiled_loosely
from biomarl_tune.experiment import PPOSettings
from biomarl_tune.ppo.losses import LEAST_WEIGHT, attention_loss, loudness_loss, writing_loss

Losses = dict[str, float]


class Rows(NamedTuple):
    """What the losses need of B agent steps."""

    actions: Tensor  # [B]
    logp: Tensor  # [B] of the actions when they were chosen
    advantages: Tensor  # [B] normalised
    returns: Tensor  # [B]
    labels: Tensor  # [B] whether a breakthrough followed
    known: Tensor  # [B] 1 where the label is known


def objective(output: ChunkOutput, rows: Rows, ppo: PPOSettings) -> tuple[Losses, ChunkOutput]:
    """Return every loss of a minibatch by its name in ``losses.losses``, and the gradient.

    The gradient is that of the weighted sum of the losses, which is not among them.
    """
    gradient = ChunkOutput(torch.empty_like(output.moves), torch.empty_like(output.value))
    sums = _objective(
        output.moves.numpy(),
        output.value.numpy(),
        tuple(column.numpy() for column in rows),
        (ppo.clip, ppo.value_coefficient, ppo.entropy_coefficient, ppo.detector_coefficient),
        gradient.moves.numpy(),
        gradient.value.numpy(),
    )
    found = dict(zip(_PARTS, sums, strict=True))
    if not ppo.detector_coefficient:
        del found["detector_loss"]
    return _with_costs(output, found, gradient, ppo)


def _with_costs(
    output: ChunkOutput, found: Losses, gradient: ChunkOutput, ppo: PPOSettings
) -> tuple[Losses, ChunkOutput]:
    """Add what writing, loud messages and looking everywhere cost."""
    gate, message, attention = output.gate, output.message, output.attention
    if ppo.plasticity_coefficient and gate is not None:
        found["writing_loss"] = float(writing_loss(gate))
        share = ppo.plasticity_coefficient / gate.numel()
        gradient = gradient._replace(gate=torch.full_like(gate, share))
    if ppo.message_coefficient and message is not None:
        found["loudness_loss"] = float(loudness_loss(message))
        share = 2.0 * ppo.message_coefficient / message.numel()
        gradient = gradient._replace(message=share * message)
    if ppo.attention_coefficient and attention is not None:
        found["attention_loss"] = float(attention_loss(attention.T))
        share = ppo.attention_coefficient / attention.shape[1]
        change = attention.clamp(min=LEAST_WEIGHT).log() + (attention >= LEAST_WEIGHT)
        gradient = gradient._replace(attention=-share * change)
    return found, gradient


_PARTS = ("policy_loss", "value_loss", "entropy", "kl", "detector_loss")


@compiled_loosely
def _objective(  # noqa: PLR0915 - one row at a time, nothing kept
    moves: NDArray[np.float32],  # [8, B]
    value: NDArray[np.float32],  # [B]
    given: tuple[NDArray[Any], ...],  # the fields of ``Rows``
    weights: tuple[float, float, float, float],  # clip and coefficients
    d_moves: NDArray[np.float32],  # [8, B] takes the gradient
    d_value: NDArray[np.float32],  # [B] takes the gradient
) -> tuple[float, float, float, float, float]:
    """Return the means of the losses, in the order of ``_PARTS``.

    With p the softmax of the logits z and H its entropy, the gradients are
    ``d log p_a / d z_j = [j = a] - p_j`` and ``d H / d z_j = -p_j (log p_j + H)``.
    """
    actions, logp_old, advantages, returns, labels, known = given
    clip, value_weight, entropy_weight, detector_weight = weights
    choices, rows = moves.shape[0] - 1, moves.shape[1]
    share = np.float32(1.0 / rows)
    number_known = np.float32(0.0)
    for row in range(rows):
        number_known += known[row]
    known_share = np.float32(1.0) / max(number_known, np.float32(1.0))
    chance, logp = np.empty(choices, np.float32), np.empty(choices, np.float32)
    surrogate, error, entropy, kl, detector = 0.0, 0.0, 0.0, 0.0, 0.0
    for row in range(rows):
        greatest = moves[0, row]
        for move in range(1, choices):
            greatest = max(greatest, moves[move, row])
        total = np.float32(0.0)
        for move in range(choices):
            logp[move] = moves[move, row] - greatest
            chance[move] = np.exp(logp[move])
            total += chance[move]
        log_total, surprise = np.log(total), np.float32(0.0)
        for move in range(choices):
            logp[move] -= log_total
            chance[move] /= total
            surprise -= chance[move] * logp[move]
        entropy += float(surprise)

        change = logp[actions[row]] - logp_old[row]
        ratio = np.exp(change)
        kl += ratio - np.float32(1.0) - change
        gain = ratio * advantages[row]
        clipped = min(max(ratio, np.float32(1.0 - clip)), np.float32(1.0 + clip)) * advantages[row]
        surrogate -= min(gain, clipped)
        # elsewhere the ratio has gone far enough: no gradient
        d_logp = -gain * share if gain <= clipped else np.float32(0.0)
        for move in range(choices):
            d_entropy = np.float32(entropy_weight) * share * (logp[move] + surprise)
            d_moves[move, row] = chance[move] * (d_entropy - d_logp)
        d_moves[actions[row], row] += d_logp

        off = value[row] - returns[row]
        error += off * off
        d_value[row] = np.float32(2.0 * value_weight) * share * off

        logit = moves[choices, row]
        faint = np.exp(-abs(logit))
        each = max(logit, np.float32(0.0)) - logit * labels[row] + np.log1p(faint)
        detector += each * known[row]
        sure = np.float32(1.0) / (np.float32(1.0) + faint)
        likely = sure if logit >= 0.0 else np.float32(1.0) - sure
        d_detector = np.float32(detector_weight) * known_share * known[row]
        d_moves[choices, row] = d_detector * (likely - labels[row])
    mean = 1.0 / rows
    return surrogate * mean, error * mean, entropy * mean, kl * mean, detector * float(known_share)
