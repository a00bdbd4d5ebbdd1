import math

import pytest
import torch

from biomarl_tune.brain.policy import PolicyOutput
from biomarl_tune.experiment import PPOSettings
from biomarl_tune.ppo import losses


def answer(**changes):
    """Return a brain's random answer to one world, two steps and three agents."""
    torch.manual_seed(0)
    fields = {
        "logits": torch.randn(1, 2, 3, 7),
        "value": torch.randn(1, 2, 3),
        "detector": torch.randn(1, 2, 3),
        "memory": None,
        "message": torch.randn(1, 2, 3, 4),
        "gate": torch.rand(1, 2, 3),
        "attention": torch.softmax(torch.randn(1, 2, 3, 7), dim=-1),
    }
    return PolicyOutput(**{**fields, **changes})


def minibatch():
    """Return what was sampled for that answer."""
    torch.manual_seed(1)
    return {
        "actions": torch.randint(7, (1, 2, 3)),
        "logp": -torch.rand(1, 2, 3) - 1.0,
        "advantages": torch.randn(1, 2, 3),
        "returns": torch.randn(1, 2, 3),
        "labels": torch.tensor([[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]]),
        "label_mask": torch.tensor([[[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]]),
    }


def test_log_probabilities_equal_log_softmax():
    """Values and gradients are those of torch, huge logits included."""
    torch.manual_seed(0)
    ours = torch.randn(50, 7, dtype=torch.float64) * torch.logspace(-1, 3, 50)[:, None]
    ours, theirs = ours.clone().requires_grad_(), ours.clone().requires_grad_()
    weights = torch.randn(50, 7, dtype=torch.float64)

    found, expected = losses.log_probabilities(ours), torch.log_softmax(theirs, dim=-1)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()

    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_clipped_surrogate_by_hand():
    """With a clip of 0.2 gains end at 1.2 A and losses do not: -(1.2 - 2 + 0.5 - 0.8) / 4."""
    ratio = torch.tensor([1.5, 2.0, 0.5, 0.5])
    advantage = torch.tensor([1.0, -1.0, 1.0, -1.0])

    loss = losses.clipped_surrogate_loss(ratio, advantage, clip=0.2)

    assert float(loss) == pytest.approx(1.1 / 4)


def test_clipped_surrogate_teaches_nothing_outside_the_clip():
    """The gradient is -A / 4 inside, and 0 where the ratio has already gone far enough."""
    ratio = torch.tensor([1.5, 2.0, 0.5, 1.1], requires_grad=True)
    advantage = torch.tensor([1.0, -1.0, -1.0, 2.0])

    losses.clipped_surrogate_loss(ratio, advantage, clip=0.2).backward()

    assert ratio.grad.tolist() == [0.0, 0.25, 0.0, -0.5]


def test_value_loss_by_hand():
    """The mean of 1, 0 and 4."""
    loss = losses.value_loss(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 2.0, 1.0]))

    assert float(loss) == pytest.approx(5 / 3)


def test_entropy_by_hand():
    """The mean of log 2 for a fair coin and 0 for a sure thing."""
    logp = torch.tensor([[0.5, 0.5, 1e-30], [1.0, 1e-30, 1e-30]]).log()

    assert float(losses.entropy(logp)) == pytest.approx(math.log(2) / 2)


def test_approximate_kl_by_hand():
    """The mean of 0 for an unchanged probability and 2 - 1 - log 2 for a doubled one."""
    kl = losses.approximate_kl(torch.tensor([1.0, 2.0]))

    assert float(kl) == pytest.approx((1 - math.log(2)) / 2)


def test_approximate_kl_estimates_the_divergence():
    """Averaged over the old policy's moves it is the sum of p log(p / q)."""
    old, new = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.3, 0.5])

    estimate = (old * torch.stack([losses.approximate_kl(r) for r in new / old])).sum()

    assert float(estimate) == pytest.approx(float((old * (old / new).log()).sum()), rel=1e-5)


def test_detector_loss_by_hand():
    """Only known labels count: the mean of log 2 at a logit of 0 and log(1 + e) at a wrong 1."""
    logit, label = torch.tensor([0.0, 1.0, 9.0]), torch.tensor([1.0, 0.0, 0.0])

    loss = losses.detector_loss(logit, label, torch.tensor([1.0, 1.0, 0.0]))

    assert float(loss) == pytest.approx((math.log(2) + math.log(1 + math.e)) / 2)


def test_detector_loss_without_a_known_label_is_zero():
    """Where nothing is known nothing is learned, and nothing is divided by zero."""
    loss = losses.detector_loss(torch.tensor([3.0]), torch.tensor([0.0]), torch.tensor([0.0]))

    assert float(loss) == 0.0


def test_writing_loss_by_hand():
    """The mean of the neuromodulator."""
    assert float(losses.writing_loss(torch.tensor([0.25, 0.75, 0.5]))) == 0.5


def test_loudness_loss_by_hand():
    """The mean square: (9 + 16 + 0 + 0) / 4."""
    assert float(losses.loudness_loss(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))) == 6.25


def test_attention_loss_by_hand():
    """The mean of log 7 for looking everywhere and 0 for looking at one cell."""
    weights = torch.stack([torch.full((7,), 1 / 7), torch.eye(7)[2]])

    assert float(losses.attention_loss(weights)) == pytest.approx(math.log(7) / 2)


COEFFICIENTS = {
    "value_coefficient": 0.5,
    "entropy_coefficient": 0.02,
    "detector_coefficient": 0.03,
    "plasticity_coefficient": 0.04,
    "message_coefficient": 0.05,
    "attention_coefficient": 0.06,
}


def test_total_is_the_weighted_sum():
    """Every named part counts with its coefficient, the entropy as a bonus, kl not at all."""
    parts = losses.losses(answer(), minibatch(), PPOSettings(**COEFFICIENTS))

    weights = {
        "policy_loss": 1.0,
        "value_loss": 0.5,
        "entropy": -0.02,
        "kl": 0.0,
        "detector_loss": 0.03,
        "writing_loss": 0.04,
        "loudness_loss": 0.05,
        "attention_loss": 0.06,
    }
    assert set(parts) == {*weights, "total"}
    expected = sum(weight * float(parts[name]) for name, weight in weights.items())
    assert float(parts["total"]) == pytest.approx(expected, rel=1e-5)


def test_parts_are_those_of_the_minibatch():
    """Each part is its function of the fields that it is about."""
    output, batch, ppo = answer(), minibatch(), PPOSettings(clip=0.1, **COEFFICIENTS)
    logp_all = torch.log_softmax(output.logits, dim=-1)
    ratio = (logp_all.gather(-1, batch["actions"][..., None])[..., 0] - batch["logp"]).exp()
    expected = {
        "policy_loss": losses.clipped_surrogate_loss(ratio, batch["advantages"], clip=0.1),
        "value_loss": losses.value_loss(output.value, batch["returns"]),
        "entropy": losses.entropy(logp_all),
        "kl": losses.approximate_kl(ratio),
        "detector_loss": losses.detector_loss(
            output.detector, batch["labels"], batch["label_mask"]
        ),
        "writing_loss": losses.writing_loss(output.gate),
        "loudness_loss": losses.loudness_loss(output.message),
        "attention_loss": losses.attention_loss(output.attention),
    }

    parts = losses.losses(output, batch, ppo)

    for name, loss in expected.items():
        torch.testing.assert_close(parts[name], loss)


def test_parts_that_are_off_cost_nothing():
    """Without messages, memory or attention their losses are left out."""
    output = answer(message=None, gate=None, attention=None)

    parts = losses.losses(output, minibatch(), PPOSettings(**COEFFICIENTS))

    assert set(parts) == {"policy_loss", "value_loss", "entropy", "kl", "detector_loss", "total"}


def test_without_bio_coefficients_it_is_plain_ppo():
    """With the bio coefficients at 0 the total is surrogate, value loss and entropy bonus."""
    plain = {name: 0.0 for name in COEFFICIENTS if not name.startswith(("value", "entropy"))}

    parts = losses.losses(answer(), minibatch(), PPOSettings(**{**COEFFICIENTS, **plain}))

    assert set(parts) == {"policy_loss", "value_loss", "entropy", "kl", "total"}
    expected = parts["policy_loss"] + 0.5 * parts["value_loss"] - 0.02 * parts["entropy"]
    torch.testing.assert_close(parts["total"], expected)
