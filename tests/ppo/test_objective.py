"""The fused objective is the sum of the plain losses, and so is its gradient."""

import pytest
import torch

from biomarl_tune.brain.passes import ChunkOutput
from biomarl_tune.brain.policy import PolicyOutput
from biomarl_tune.experiment import PPOSettings
from biomarl_tune.ppo.losses import losses
from biomarl_tune.ppo.objective import Rows, objective

COEFFICIENTS = {
    "value_coefficient": 0.5,
    "entropy_coefficient": 0.02,
    "detector_coefficient": 0.03,
    "plasticity_coefficient": 0.04,
    "message_coefficient": 0.05,
    "attention_coefficient": 0.06,
}
STEPS = 200


def answers(**off):
    """Return random answers as leaves, columns first."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    columns = {
        "moves": 2.0 * draw(8, STEPS),
        "value": draw(STEPS),
        "message": draw(4, STEPS),
        "gate": draw(STEPS).sigmoid(),
        "attention": torch.softmax(draw(7, STEPS), dim=0),
    }
    return {name: x.requires_grad_() for name, x in columns.items()} | off


def rows():
    """Return what was sampled, with ratios on both sides of the clip."""
    generator = torch.Generator().manual_seed(1)
    return Rows(
        actions=torch.randint(7, (STEPS,), generator=generator),
        logp=-2.0 - torch.rand(STEPS, generator=generator),
        advantages=torch.randn(STEPS, generator=generator),
        returns=torch.randn(STEPS, generator=generator),
        labels=(torch.rand(STEPS, generator=generator) < 0.3).float(),
        known=(torch.rand(STEPS, generator=generator) < 0.7).float(),
    )


def plain(columns, given, ppo):
    """Return the losses of the same answers by the plain functions."""
    output = PolicyOutput(
        logits=columns["moves"][:7].T,
        value=columns["value"],
        detector=columns["moves"][7],
        memory=None,
        message=None if columns["message"] is None else columns["message"].T,
        gate=columns["gate"],
        attention=None if columns["attention"] is None else columns["attention"].T,
    )
    batch = {
        "actions": given.actions,
        "logp": given.logp,
        "advantages": given.advantages,
        "returns": given.returns,
        "labels": given.labels,
        "label_mask": given.known,
    }
    return losses(output, batch, ppo)


@pytest.mark.parametrize("without", [(), *((name,) for name in COEFFICIENTS)])
def test_losses_and_gradients_agree(without):
    """Each named loss and the gradients of their sum are those of the plain functions."""
    ppo = PPOSettings(**{**COEFFICIENTS, **dict.fromkeys(without, 0.0)})
    expected = answers()
    wanted = plain(expected, rows(), ppo)

    with torch.no_grad():
        found, gradient = objective(ChunkOutput(**answers()), rows(), ppo)
    wanted.pop("total").backward()

    assert set(found) == set(wanted)
    for name, loss in wanted.items():
        assert found[name] == pytest.approx(loss.item(), rel=1e-4, abs=1e-6), name
    for name, column in expected.items():
        zero = torch.zeros_like(column)
        theirs = zero if column.grad is None else column.grad
        ours = getattr(gradient, name)
        torch.testing.assert_close(
            zero if ours is None else ours, theirs, rtol=1e-4, atol=1e-7, msg=name
        )


@torch.no_grad()
def test_parts_that_are_off_cost_nothing():
    """Without messages, memory or attention their losses are left out."""
    off = {"message": None, "gate": None, "attention": None}

    found, gradient = objective(ChunkOutput(**answers(**off)), rows(), PPOSettings(**COEFFICIENTS))

    assert set(found) == {"policy_loss", "value_loss", "entropy", "kl", "detector_loss"}
    assert gradient[2:] == (None, None, None)


@torch.no_grad()
def test_no_known_label_teaches_nothing():
    """Where no label is known the detector's loss is 0 and so is its gradient."""
    given = rows()._replace(known=torch.zeros(STEPS))

    found, gradient = objective(ChunkOutput(**answers()), given, PPOSettings())

    assert found["detector_loss"] == 0.0
    assert not gradient.moves[7].any()
