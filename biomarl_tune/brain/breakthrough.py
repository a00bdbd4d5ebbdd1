"""The breakthrough detector: is an event coming within the next steps?"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BreakthroughHead(nn.Module):
    """Predict, from features [B, H], the logit [B] of a breakthrough within the horizon."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.project = nn.Linear(features, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the logit of every agent."""
        return self.project(features).squeeze(-1)  # type: ignore[no-any-return]


def upcoming(events: Tensor, first: Tensor, *, horizon: int) -> tuple[Tensor, Tensor]:
    """Label every step with whether an event follows within the horizon.

    Args:
        events: [E, T, N] bool, a breakthrough at the step.
        first: [E, T] bool, an episode begins at the step.
        horizon: steps looked ahead, the step itself not counted.

    Returns:
        The labels [E, T, N] as floats, and a mask [E, T, N] of 1 where the label is known:
        an event was seen, or the whole horizon was, or the episode ended before.
    """
    _, steps, _ = events.shape
    labels = torch.zeros_like(events)
    known = torch.zeros_like(events)
    wait = torch.full_like(events[:, 0], horizon + 1, dtype=torch.int64)  # steps to next event
    seen = torch.zeros_like(wait)  # steps of this episode that were seen after the current one
    for t in range(steps - 1, -1, -1):
        labels[:, t] = wait <= horizon
        known[:, t] = labels[:, t] | (seen >= horizon)
        wait = torch.where(events[:, t], 1, wait + 1)
        seen = seen + 1
        wait = torch.where(first[:, t, None], horizon + 1, wait)
        seen = torch.where(first[:, t, None], horizon, seen)
    return labels.float(), known.float()
