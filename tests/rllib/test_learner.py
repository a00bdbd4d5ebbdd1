"""The learner: RLlib's, with the local engine's arithmetic."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core import ALL_MODULES, DEFAULT_MODULE_ID

from biomarl_tune.errors import InputError
from biomarl_tune.ppo.local import new_optimizer, new_policy
from biomarl_tune.ppo.losses import losses
from biomarl_tune.ppo.sampling import Sampler
from biomarl_tune.ppo.update import update
from biomarl_tune.rllib.algorithm import BioPPOConfig


def built(experiment):
    """Return a learner of an experiment."""
    return BioPPOConfig.from_experiment(experiment).build_learner()


def learned(learner, batch):
    """Update once and return the losses as plain numbers."""
    stats = learner.update(batch)[DEFAULT_MODULE_ID]
    return {name: float(stat.peek()) for name, stat in stats.items()}


def test_both_engines_learn_the_same_from_one_batch(small):
    """Losses and weights after an update agree with the local engine's to 1e-5."""
    policy = new_policy(small)
    batch, _ = Sampler(small, policy).sample()
    shuffle = np.random.default_rng((small.seed, 2))
    expected = update(policy, new_optimizer(policy, small), batch, small, shuffle)
    learner = built(small)
    found = learned(learner, batch)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-5)
    ours = learner.module[DEFAULT_MODULE_ID].policy.state_dict()
    for name, weight in policy.state_dict().items():
        assert torch.allclose(ours[name], weight, atol=1e-5)


def test_without_bio_losses_the_loss_is_rllibs_own(small):
    """RLlib's PPO loss of a flat batch equals ours with the bio coefficients at zero."""
    experiment = small.with_settings(
        {"ppo.detector_coefficient": 0.0, "ppo.entropy_coefficient": 0.02, "ppo.clip": 0.1}
    )
    learner = built(experiment)
    module = learner.module[DEFAULT_MODULE_ID]
    batch, _ = Sampler(experiment, module.policy).sample()
    batch["logp"] = batch["logp"] + 0.3 * torch.randn(batch["logp"].shape)
    output = module.forward_train(batch)["embeddings"]
    flat_output = replace(output, logits=output.logits.flatten(0, 2), value=output.value.flatten())
    flat_batch = {
        "actions": batch["actions"].flatten(),
        "action_logp": batch["logp"].flatten(),
        "action_dist_inputs": flat_output.logits.detach(),
        "advantages": batch["advantages"].flatten(),
        "value_targets": batch["returns"].flatten(),
    }
    theirs = PPOTorchLearner.compute_loss_for_module(
        learner,
        module_id=DEFAULT_MODULE_ID,
        config=learner.config,
        batch=flat_batch,
        fwd_out={"action_dist_inputs": flat_output.logits, "embeddings": flat_output},
    )
    ours = losses(output, batch, experiment.ppo)["total"]
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    assert abs(ours.item()) > 1e-3


def test_a_restored_learner_learns_the_same(small, tmp_path):
    """Weights, optimiser and the shuffling of worlds go on where the checkpoint was written."""
    learner = built(small)
    batch, _ = Sampler(small, learner.module[DEFAULT_MODULE_ID].policy).sample()
    learner.update(batch)
    learner.save_to_path(tmp_path / "learner")
    expected = learned(learner, batch)
    again = built(small)
    again.restore_from_path(tmp_path / "learner")
    assert learned(again, batch) == expected
    ours = again.module[DEFAULT_MODULE_ID].state_dict()
    for name, weight in learner.module[DEFAULT_MODULE_ID].state_dict().items():
        assert torch.equal(ours[name], weight)


def test_it_counts_what_it_trained_on(small):
    """In agent steps for the module and in world steps for all."""
    learner = built(small)
    batch, _ = Sampler(small, learner.module[DEFAULT_MODULE_ID].policy).sample()
    stats = learner.update(batch)
    module_steps = stats[DEFAULT_MODULE_ID]["num_module_steps_trained_lifetime"].peek()
    assert module_steps == 240
    assert stats[ALL_MODULES]["num_env_steps_trained_lifetime"].peek() == 80


def test_anything_but_a_samplers_batch_is_refused(small):
    """RLlib's episodes are not what this learner learns from."""
    with pytest.raises(InputError, match="wants a batch of ColonyEnvRunner"):
        built(small).update(None)
