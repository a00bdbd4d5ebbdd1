import numpy as np
import pytest
import torch

from biomarl_tune.brain.joined import FlatWeights
from biomarl_tune.ppo import update as learning
from biomarl_tune.ppo.local import new_optimizer, new_policy
from biomarl_tune.ppo.losses import losses
from biomarl_tune.ppo.sampling import Sampler


def learner(experiment):
    """Return a brain, its optimiser and a batch that it sampled."""
    policy = new_policy(experiment)
    batch, _ = Sampler(experiment, policy).sample()
    return policy, new_optimizer(policy, experiment), batch


def shuffle():
    """Return the generator that shuffles worlds."""
    return np.random.default_rng(3)


def answered(policy, batch):
    """Return the brain's answer to a whole batch."""
    with torch.no_grad():
        return policy.sequence(batch["obs"], batch["first"], batch["memory"])


def test_normalised_by_hand():
    """The mean of 1, 3, 5 and 7 is 4 and their deviation the root of 5."""
    found = learning.normalised(torch.tensor([1.0, 3.0, 5.0, 7.0]))

    torch.testing.assert_close(found * 5**0.5, torch.tensor([-3.0, -1.0, 1.0, 3.0]))


@pytest.mark.parametrize("same", [[2.0], [2.0, 2.0, 2.0]])
def test_equal_advantages_are_none(same):
    """A batch of one step, or of equal advantages, has none, and nothing is divided by zero."""
    assert learning.normalised(torch.tensor(same)).tolist() == [0.0] * len(same)


@pytest.mark.parametrize(
    ("value", "share"),
    [
        ([1.0, 2.0, 3.0], 1.0),
        ([2.0, 2.0, 2.0], 0.0),
        ([3.0, 2.0, 1.0], -3.0),
        ([1.5, 2, 2.5], 0.75),
    ],
)
def test_explained_variance_by_hand(value, share):
    """Targets explain themselves, a constant explains nothing, the reverse does harm."""
    target = torch.tensor([1.0, 2.0, 3.0])

    assert learning.explained_variance(torch.tensor(value), target) == pytest.approx(share)


def test_explained_variance_of_constant_targets_is_finite():
    """Where there is nothing to explain the share is 1 at most, and no NaN."""
    assert learning.explained_variance(torch.tensor([2.0]), torch.tensor([2.0])) == 1.0


@pytest.mark.parametrize(
    ("worlds", "size", "lengths"),
    [(5, 60, [3, 2]), (5, 30, [1] * 5), (5, 1, [1] * 5), (5, 150, [5]), (7, 60, [2, 2, 2, 1])],
)
def test_minibatches_partition_the_worlds(tiny, worlds, size, lengths):
    """Every world is in one minibatch, of about the size asked for; 30 agent steps a world."""
    chosen = learning.minibatches(worlds, tiny({"ppo.minibatch_size": size}), shuffle())

    assert [len(part) for part in chosen] == lengths
    assert sorted(np.concatenate(chosen)) == list(range(worlds))


def test_minibatches_are_shuffled(tiny):
    """One generator splits the worlds differently each time, and alike when seeded alike."""
    generator, again = shuffle(), shuffle()

    first, second = (learning.minibatches(50, tiny(), generator) for _ in range(2))

    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    repeated = learning.minibatches(50, tiny(), again)
    assert np.array_equal(np.concatenate(first), np.concatenate(repeated))


def test_same_seed_same_weights(tiny):
    """Two brains that learn the same with the same shuffling end bit for bit alike."""
    weights = []
    for _ in range(2):
        policy, optimizer, batch = learner(tiny())
        learning.update(policy, optimizer, batch, tiny(), shuffle())
        weights.append(policy.state_dict())

    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_an_update_leaves_its_batch_alone(tiny):
    """Advantages are normalised in a copy, so that a batch can be learned from again."""
    policy, optimizer, batch = learner(tiny())
    before = {name: column.clone() for name, column in batch.items()}

    learning.update(policy, optimizer, batch, tiny(), shuffle())

    assert all(torch.equal(batch[name], column) for name, column in before.items())


class Descent:
    """Plain gradient descent that divides gradients first, as our Adam does."""

    def __init__(self, learning_rate):
        self.learning_rate = learning_rate

    def step(self, weights, gradient, divisor):
        """Move by the gradient over the divisor."""
        weights -= self.learning_rate * gradient / divisor


def test_nothing_is_learned_from_nothing(tiny):
    """With no advantage and right values no weight moves."""
    experiment = tiny({"ppo.entropy_coefficient": 0.0, "ppo.detector_coefficient": 0.0})
    policy, _, batch = learner(experiment)
    optimizer = Descent(0.1)
    batch["advantages"] = torch.zeros_like(batch["advantages"])
    batch["returns"] = answered(policy, batch).value
    before = {name: weight.clone() for name, weight in policy.state_dict().items()}

    learning.update(policy, optimizer, batch, experiment, shuffle())

    for name, weight in policy.state_dict().items():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=1e-6, msg=name)


def test_a_fixed_batch_is_learned(tiny):
    """Values come closer to their targets, and moves with an advantage become likelier."""
    experiment = tiny({"ppo.num_epochs": 30, "ppo.clip": 0.3})
    policy, optimizer, batch = learner(experiment)
    fixed = {**batch, "advantages": learning.normalised(batch["advantages"])}
    before = losses(answered(policy, batch), fixed, experiment.ppo)

    learning.update(policy, optimizer, batch, experiment, shuffle())

    after = losses(answered(policy, batch), fixed, experiment.ppo)
    assert after["value_loss"] < 0.5 * before["value_loss"]
    assert abs(before["policy_loss"]) < 1e-4
    assert after["policy_loss"] < -0.02
    assert after["kl"] > before["kl"]


def test_losses_are_averaged_over_minibatches(tiny):
    """With a learning rate of nearly nothing the averages are the losses of the whole batch."""
    settings = {"ppo.learning_rate": 1e-12, "ppo.minibatch_size": 30}
    experiment = tiny(settings)
    policy, optimizer, batch = learner(experiment)
    fixed = {**batch, "advantages": learning.normalised(batch["advantages"])}
    whole = losses(answered(policy, batch), fixed, experiment.ppo)

    found = learning.update(policy, optimizer, batch, experiment, shuffle())

    for name in ("policy_loss", "value_loss", "entropy", "kl"):
        assert found[name] == pytest.approx(float(whole[name]), rel=1e-4, abs=1e-6), name
    expected = learning.explained_variance(batch["values"], batch["returns"])
    assert found["explained_variance"] == expected


def test_a_step_is_no_longer_than_its_norm_allows(tiny):
    """Gradients are scaled down to the greatest norm before the optimiser sees them."""
    experiment = tiny({"ppo.max_grad_norm": 1e-3})
    policy, _, batch = learner(experiment)
    weights, gradient = FlatWeights.of(policy), FlatWeights(policy)
    before = weights.vector.clone()

    with torch.no_grad():
        whole = learning.Minibatch.whole(policy, batch)
        learning.gradient_step(weights, gradient, Descent(1.0), whole, experiment)

    assert float((weights.vector - before).norm()) == pytest.approx(1e-3, rel=0.02)
