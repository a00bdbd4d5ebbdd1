"""A hyperbolic tangent that is cheap on processors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _FastTanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.sigmoid(2.0 * x).mul_(2.0).sub_(1.0)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        gradient: Tensor = torch.ops.aten.tanh_backward(grad_outputs[0], y)
        return gradient


def fast_tanh(x: Tensor) -> Tensor:
    """Return ``tanh(x)`` as ``2 sigmoid(2 x) - 1``; torch's own costs several times as much."""
    return _FastTanh.apply(x)  # type: ignore[no-any-return,no-untyped-call]
