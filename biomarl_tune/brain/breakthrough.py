"""The breakthrough detector: is an event coming within the next steps?"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from biomarl_tune.compiled import compiled


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
    labels, known = torch.zeros(2, *events.shape)
    _label(events.numpy(), first.numpy(), horizon, labels.numpy(), known.numpy())
    return labels, known


@compiled
def _label(
    events: NDArray[np.bool_],
    first: NDArray[np.bool_],
    horizon: int,
    labels: NDArray[np.float32],
    known: NDArray[np.float32],
) -> None:
    worlds, steps, agents = events.shape
    for world in range(worlds):
        for agent in range(agents):
            wait = horizon + 1  # steps to the next event
            seen = 0  # steps of this episode that were seen after the current one
            for t in range(steps - 1, -1, -1):
                follows = wait <= horizon
                labels[world, t, agent] = follows
                known[world, t, agent] = follows or seen >= horizon
                wait = 1 if events[world, t, agent] else wait + 1
                seen += 1
                if first[world, t]:
                    wait, seen = horizon + 1, horizon
