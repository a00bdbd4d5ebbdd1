import pytest
import torch

from biomarl_tune.experiment import Experiment
from biomarl_tune.ppo import precision


@pytest.mark.parametrize(
    ("amx", "vectors", "vendor", "faster"),
    [
        (True, True, "GenuineIntel", True),
        (False, True, "GenuineIntel", False),
        (False, True, "AuthenticAMD", True),
        (False, False, "AuthenticAMD", False),
    ],
)
def test_bfloat16_is_taken_where_it_is_faster(amx, vectors, vendor, faster, monkeypatch):
    """By itself only wide layers take it; who asks for it or against it is obeyed anywhere."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: vectors)
    monkeypatch.setattr(precision, "is_made_by", lambda name: name == vendor)
    precision.has_bfloat16.cache_clear()

    def dtype(asked, hidden):
        settings = {"ppo.precision": asked, "model.hidden_dim": hidden}
        return precision.hidden_dtype(Experiment().with_settings(settings))

    try:
        assert dtype("auto", 256) == (torch.bfloat16 if faster else torch.float32)
        assert dtype("auto", 64) == dtype("fp32", 256) == torch.float32
        assert dtype("bf16", 64) == torch.bfloat16
    finally:
        precision.has_bfloat16.cache_clear()
