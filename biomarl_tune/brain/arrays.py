"""Tensors as compiled functions take them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def arrays(*tensors: Tensor) -> tuple[NDArray[np.float32], ...]:
    """Return the arrays that share the memory of some tensors."""
    return tuple(tensor.numpy() for tensor in tensors)
