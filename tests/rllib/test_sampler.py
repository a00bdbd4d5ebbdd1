"""The sampler as RLlib's env runner."""

import torch

from biomarl_tune.rllib.algorithm import BioPPOConfig
from biomarl_tune.rllib.sampler import ColonyEnvRunner, merged, share_of_worlds


def runner(experiment, index=0, count=0):
    """Return a runner in this process."""
    config = BioPPOConfig.from_experiment(experiment)
    return ColonyEnvRunner(config=config, worker_index=index, num_workers=count)


def equal(one, other):
    """Tell whether two batches are the same, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_every_world_is_stepped_by_one_runner(small):
    """Shares are disjoint and complete; the trial's process steps none beside others."""
    shares = [share_of_worlds(small, i, 3) for i in range(4)]
    assert [list(share) for share in shares] == [[], [0, 1], [2, 3, 4], [5, 6, 7]]
    assert share_of_worlds(small, 0, 0) == range(8)


def test_splitting_the_worlds_changes_nothing(small):
    """Two runners draw together what one draws alone."""
    whole = runner(small).sample()
    batch, measures = merged([runner(small, 1, 2).sample(), runner(small, 2, 2).sample()])
    assert batch.keys() == whole.batch.keys()
    for name, column in whole.batch.items():
        assert torch.allclose(batch[name], column, atol=1e-5)
    assert measures.agent_steps == whole.measures.agent_steps == 240


def test_a_restored_runner_draws_the_same(small):
    """Weights, worlds and generators go on where the state was taken."""
    first = runner(small)
    first.sample()
    state = first.get_state()
    expected = first.sample().batch
    second = runner(small.with_settings({"seed": 1}))
    second.set_state(state)
    assert equal(second.sample().batch, expected)


def test_the_state_can_be_asked_for_in_parts(small):
    """RLlib asks for the state without weights, or for the weights alone."""
    assert set(runner(small).get_state(not_components=["rl_module"])) == {"sampler"}
    assert set(runner(small).get_state(components=["rl_module"])) == {"rl_module"}


def test_reconfiguring_begins_another_experiment(small):
    """A warm runner draws what a new one would, also with another width."""
    other = small.with_settings({"model.hidden_dim": 12, "env.num_agents": 2, "seed": 3})
    warm = runner(small)
    warm.sample()
    warm.reconfigure(other, range(other.num_worlds))
    assert equal(warm.sample().batch, runner(other).sample().batch)


def test_a_given_module_is_shared(small):
    """The runner acts with the very weights of the learner, without a copy."""
    warm, learner = runner(small), runner(small)
    warm.reconfigure(small, range(8), learner.module)
    with torch.no_grad():
        learner.module.policy.actor_out.bias[3] = 100.0
    assert (warm.sample().batch["actions"] == 3).all()


def test_weights_come_with_the_request(small):
    """A runner in another process acts with the weights that it is sent."""
    far, learner = runner(small), runner(small)
    with torch.no_grad():
        learner.module.policy.actor_out.bias[5] = 100.0
    sample = far.sample(weights=learner.module.get_state())
    assert (sample.batch["actions"] == 5).all()


def test_what_goes_wrong_in_a_world_is_told(small, monkeypatch):
    """The traceback comes back in the sample's place."""
    broken = runner(small)
    monkeypatch.setattr(broken._sampler().acting.colony, "step", None)
    assert "TypeError: 'NoneType' object is not callable" in broken.try_sample(None)
