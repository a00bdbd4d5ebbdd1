"""In which floating-point numbers the hidden layers are computed."""

from __future__ import annotations

from functools import cache

import torch

from biomarl_tune.experiment import Experiment

WIDE = 256  # from this hidden size on bfloat16 is faster


@cache
def has_bfloat16() -> bool:
    """Return whether this processor multiplies bfloat16 faster than float32.

    That takes matrix units (AMX). Vector instructions alone (AVX512-BF16) lose more by the
    conversions than they gain.
    """
    return torch.cpu._is_amx_tile_supported()  # noqa: SLF001 - no other way to ask


def hidden_dtype(experiment: Experiment) -> torch.dtype:
    """Return the type for the hidden layers' products while learning.

    Weights, optimiser, losses, memory and sampling stay in float32.
    """
    asked = experiment.ppo.precision
    wide = experiment.model.hidden_dim >= WIDE
    if asked == "bf16" or (asked == "auto" and wide and has_bfloat16()):
        return torch.bfloat16
    return torch.float32
