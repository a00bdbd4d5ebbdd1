"""In which floating-point numbers the hidden layers are computed."""

from __future__ import annotations

from functools import cache

import torch

from biomarl_tune.experiment import Experiment
from biomarl_tune.processor import is_made_by

WIDE = 256  # from this hidden size on bfloat16 is faster


@cache
def has_bfloat16() -> bool:
    """Return whether this processor multiplies bfloat16 faster than float32.

    With matrix units (AMX) it does, and on AMD's with vector instructions (AVX512-BF16), which
    there take half as long as for float32. On Intel's they take as long or longer.
    """
    cpu = torch.cpu  # there is no public way to ask
    if cpu._is_amx_tile_supported():  # noqa: SLF001
        return True
    return cpu._is_avx512_bf16_supported() and is_made_by("AuthenticAMD")  # noqa: SLF001


def hidden_dtype(experiment: Experiment) -> torch.dtype:
    """Return the type for the hidden layers' products while learning.

    Weights, optimiser, losses, memory and sampling stay in float32.
    """
    asked = experiment.ppo.precision
    wide = experiment.model.hidden_dim >= WIDE
    if asked == "bf16" or (asked == "auto" and wide and has_bfloat16()):
        return torch.bfloat16
    return torch.float32
