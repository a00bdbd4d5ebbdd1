"""Adam without torch.optim."""

import copy
import subprocess
import sys

import pytest
import torch

from biomarl_tune.ppo.optimizer import Adam


def gradients():
    """Return ten gradients of three weights, the last of which never has one."""
    drawn = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    return drawn * torch.tensor([1.0, 100.0, 0.0])


def test_it_equals_torchs_own():
    """Ten steps move the weights as torch.optim.Adam does; what has no gradient stays."""
    weights, other = torch.ones(3), torch.nn.Parameter(torch.ones(3))
    ours, theirs = Adam(3, 0.01), torch.optim.Adam([other], lr=0.01, eps=1e-5)

    for gradient in gradients():
        ours.step(weights, gradient.clone())
        other.grad = gradient.clone()
        theirs.step()

    torch.testing.assert_close(weights, other.detach())
    assert weights[2] == 1.0


def test_gradients_are_divided_first():
    """A divisor does what smaller gradients do."""
    weights, other = torch.ones(3), torch.ones(3)
    ours, plain = Adam(3, 0.01), Adam(3, 0.01)

    for gradient, divisor in zip(gradients(), torch.arange(1.0, 11.0), strict=True):
        ours.step(weights, gradient.clone(), divisor)
        plain.step(other, gradient / divisor)

    torch.testing.assert_close(weights, other)


def test_the_first_step_is_as_long_as_the_learning_rate():
    """With bias correction the first step is lr * sign of the gradient."""
    weights = torch.tensor([1.0, 1.0])

    Adam(2, 0.1).step(weights, torch.tensor([5.0, -5.0]))

    assert weights.tolist() == pytest.approx([0.9, 1.1], abs=1e-5)


def test_it_goes_on_from_its_state():
    """Another one that takes over the state moves the weights bit for bit alike."""
    weights, first = torch.ones(3), Adam(3, 0.01)
    for gradient in gradients()[:5]:
        first.step(weights, gradient.clone())
    other, second = weights.clone(), Adam(3, 0.5)

    second.load_state_dict(copy.deepcopy(first.state_dict()))

    for gradient in gradients()[5:]:
        first.step(weights, gradient.clone())
        second.step(other, gradient.clone())
    assert torch.equal(weights, other)


def test_training_imports_no_compiler():
    """A training process does without torch's compiler, which costs a second and 75 MB."""
    code = (
        "import sys\n"
        "from biomarl_tune.experiment import Experiment\n"
        "from biomarl_tune.ppo.local import LocalTrainer\n"
        "small = {'env.num_agents': 2, 'ppo.train_batch_size': 100, 'ppo.minibatch_size': 100}\n"
        "LocalTrainer(Experiment().with_settings(small)).train_iteration()\n"
        "print('torch._dynamo' in sys.modules)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert shown.stdout.strip() == "False"
