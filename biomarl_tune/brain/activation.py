"""A hyperbolic tangent that is cheap on processors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from biomarl_tune.processor import is_made_by


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
    """Return ``tanh(x)`` as ``2 sigmoid(2 x) - 1``; torch's own can cost several times as much."""
    return _FastTanh.apply(x)  # type: ignore[no-any-return,no-untyped-call]


_MINUS_ONE = torch.tensor(-1.0)

# torch takes tanh from Intel's library: on Intel's processors it takes half as long as by sigmoid,
# on others four times as long
TANH_IS_FAST: bool = torch._C.has_mkl and is_made_by("GenuineIntel")  # noqa: SLF001


def tanh_(x: Tensor) -> Tensor:
    """Turn ``x`` into its hyperbolic tangent in place, as is fastest; no gradient flows."""
    return x.tanh_() if TANH_IS_FAST else tanh_by_sigmoid_(x)


def tanh_by_sigmoid_(x: Tensor) -> Tensor:
    """Turn ``x`` into ``2 sigmoid(2 x) - 1`` in place."""
    y = x if x.dtype == torch.float32 else x.float()
    y.mul_(2.0).sigmoid_()
    torch.add(_MINUS_ONE, y, alpha=2.0, out=y)
    return y if y is x else x.copy_(y)


def tanh_backward_(gradient: Tensor, y: Tensor) -> Tensor:
    """Turn the gradient of ``y = tanh(x)`` into that of ``x`` in place."""
    torch.ops.aten.tanh_backward.grad_input(gradient, y, grad_input=gradient)
    return gradient
