"""The brain as an RLlib module."""

import pytest
import torch

from biomarl_tune.ppo.local import new_policy
from biomarl_tune.ppo.sampling import Sampler
from biomarl_tune.rllib.module import BioRLModule, module_spec


def test_weights_are_those_of_the_local_engine(small):
    """RLlib's module begins with the weights that the experiment's seed gives everywhere."""
    ours, expected = module_spec(small).build().policy, new_policy(small)
    for name, weight in expected.state_dict().items():
        assert torch.equal(ours.state_dict()[name], weight)


def test_it_answers_for_whole_worlds(small):
    """The forward pass takes a sampler's batch [W, T, N, ...] and gives logits and values."""
    module = module_spec(small).build()
    batch, _ = Sampler(small, module.policy).sample()
    out = module.forward_train(batch)
    assert out["action_dist_inputs"].shape == (8, 10, 3, 7)
    assert torch.allclose(out["vf_preds"], batch["values"], atol=1e-5)
    assert torch.equal(module.compute_values(batch), out["vf_preds"])
    assert module.compute_values(batch, embeddings=out["embeddings"]) is out["vf_preds"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_checkpoint_gives_the_same_module(small, tmp_path):
    """RLlib's save_to_path and from_checkpoint keep class, settings and weights."""
    module = module_spec(small.with_settings({"model.hidden_dim": 12})).build()
    module.save_to_path(tmp_path / "module")
    again = BioRLModule.from_checkpoint(tmp_path / "module")
    assert again.policy.model.hidden_dim == 12
    for name, weight in module.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight)
