"""Adam, without torch.optim: its first use imports a compiler, a second and 75 MB a process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_BETAS = (0.9, 0.999)
_EPSILON = 1e-5


class Adam:
    """Adam (Kingma and Ba 2015) in one fused call for all parameters.

    It has what both engines use of a ``torch.optim.Optimizer``, and equals ``torch.optim.Adam``.

    Args:
        parameters: the weights; those without a gradient are left as they are.
        learning_rate: the step size.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> None:
        params = list(parameters)
        self.param_groups: list[dict[str, Any]] = [{"params": params, "lr": learning_rate}]
        self._step = torch.zeros(())  # taken so far
        self._means = [torch.zeros_like(p) for p in params]  # of the gradients, decaying
        self._squares = [torch.zeros_like(p) for p in params]  # of their squares, decaying

    def zero_grad(self) -> None:
        """Drop the gradients."""
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = None

    @torch.no_grad()
    def step(self, divisor: Tensor | None = None) -> None:
        """Move every parameter that has a gradient, in place.

        Args:
            divisor: of all gradients, before anything else is done with them.
        """
        group = self.param_groups[0]
        columns = (group["params"], self._means, self._squares)
        rows = [row for row in zip(*columns, strict=True) if row[0].grad is not None]
        params, means, squares = (list(column) for column in zip(*rows, strict=True))
        self._step += 1.0
        torch._fused_adam_(  # what torch.optim.Adam calls
            params,
            [parameter.grad for parameter in params],
            means,
            squares,
            [],
            [self._step] * len(params),
            lr=group["lr"],
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
        columns = {"steps": [self._step], "means": self._means, "squares": self._squares}
        return {"lr": self.param_groups[0]["lr"], "state": columns}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where ``state_dict`` was called."""
        self.param_groups[0]["lr"] = state["lr"]
        columns: dict[str, list[Tensor]] = self.state_dict()["state"]
        for name, tensors in columns.items():
            for tensor, saved in zip(tensors, state["state"][name], strict=True):
                tensor.copy_(torch.as_tensor(saved))
