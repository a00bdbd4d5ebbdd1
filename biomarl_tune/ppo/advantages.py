"""Generalised advantage estimation."""

from __future__ import annotations

import torch
from torch import Tensor


def generalised_advantages(
    r_t: Tensor, v_t: Tensor, v_tp1: Tensor, last_t: Tensor, *, gamma: float, gae_lambda: float
) -> Tensor:
    """Return the advantages of T steps (Schulman et al. 2016, eq. 16).

        delta_t = r_t + gamma v_{t+1} - v_t
        A_t = delta_t + gamma lambda A_{t+1},   A_{t+1} = 0 after an episode's last step

    Episodes end by time limit alone, so the value after the last step counts (Pardo et al. 2018).

    Args:
        r_t: [T, B] rewards.
        v_t: [T, B] values of the observations that were acted on.
        v_tp1: [T, B] values of what was observed after the step, before any reset.
        last_t: [T, B] bool, whether the step was its episode's last.
        gamma: discount per step.
        gae_lambda: lambda above.

    Returns:
        [T, B].
    """
    delta = r_t + gamma * v_tp1 - v_t
    carry = gamma * gae_lambda * (~last_t).to(delta.dtype)
    advantages = torch.empty_like(delta)
    following = torch.zeros_like(delta[0])
    for t in range(delta.shape[0] - 1, -1, -1):
        following = torch.addcmul(delta[t], carry[t], following)
        advantages[t] = following
    return advantages
