"""Adam, without torch.optim: its first use imports a compiler, a second and 75 MB a process."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_BETAS = (0.9, 0.999)
_EPSILON = 1e-5


class Adam:
    """Adam (Kingma and Ba 2015) in one fused call for one vector of P weights.

    It equals ``torch.optim.Adam``, and has what RLlib's learner uses of an optimiser.

    Args:
        size: P.
        learning_rate: the step size.
    """

    def __init__(self, size: int, learning_rate: float) -> None:
        self.param_groups: list[dict[str, Any]] = [{"lr": learning_rate}]
        self._step = torch.zeros(())  # taken so far
        self._mean = torch.zeros(size)  # of the gradients, decaying
        self._square = torch.zeros(size)  # of their squares, decaying

    @torch.no_grad()
    def step(self, weights: Tensor, gradient: Tensor, divisor: Tensor | None = None) -> None:
        """Move the weights, in place.

        Args:
            weights: [P].
            gradient: [P]; where it is 0 from the first step on, the weight stays as it is.
            divisor: of the gradient, before anything else is done with it.
        """
        self._step += 1.0
        torch._fused_adam_(  # what torch.optim.Adam calls
            [weights],
            [gradient],
            [self._mean],
            [self._square],
            [],
            [self._step],
            lr=self.param_groups[0]["lr"],
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            weight_decay=0.0,
            eps=_EPSILON,
            amsgrad=False,
            maximize=False,
            grad_scale=divisor,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the learning rate, the number of steps and the running moments."""
        state = {"step": self._step, "mean": self._mean, "square": self._square}
        return {"lr": self.param_groups[0]["lr"], "state": state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where ``state_dict`` was called."""
        self.param_groups[0]["lr"] = state["lr"]
        tensors: dict[str, Tensor] = self.state_dict()["state"]
        for name, tensor in tensors.items():
            tensor.copy_(torch.as_tensor(state["state"][name]))
