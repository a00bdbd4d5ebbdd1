"""Adam without torch.optim."""

import copy
import subprocess
import sys

import pytest
import torch

from biomarl_tune.ppo.optimizer import Adam


@pytest.fixture
def network():
    """A network of two layers, the second of which gets no gradient."""
    torch.manual_seed(0)
    return torch.nn.ModuleList([torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)])


def descend(network, optimizer, steps):
    """Take steps on a loss that differs from one to the next."""
    for step in range(steps):
        optimizer.zero_grad()
        network[0](torch.full((5, 3), 1.0 + step)).square().sum().backward()
        optimizer.step()


def test_it_equals_torchs_own(network):
    """Ten steps move the weights as torch.optim.Adam does; what has no gradient stays."""
    other = copy.deepcopy(network)
    descend(network, Adam(network.parameters(), 0.01), 10)
    descend(other, torch.optim.Adam(other.parameters(), lr=0.01, eps=1e-5), 10)
    for ours, theirs in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_gradients_are_divided_first(network):
    """A divisor does what smaller gradients do."""
    other = copy.deepcopy(network)
    optimizer, plain = Adam(network.parameters(), 0.01), Adam(other.parameters(), 0.01)
    for scale in (1.0, 4.0, 2.0):
        for each, moved in ((network, optimizer), (other, plain)):
            moved.zero_grad()
            each[0](torch.full((5, 3), scale)).square().sum().backward()
        for parameter in other[0].parameters():
            parameter.grad /= scale
        optimizer.step(torch.tensor(scale))
        plain.step()
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-6)


def test_the_first_step_is_as_long_as_the_learning_rate():
    """With bias correction the first step is lr * sign of the gradient."""
    weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    optimizer = Adam([weight], 0.1)
    (weight * torch.tensor([5.0, -5.0])).sum().backward()
    optimizer.step()
    assert weight.tolist() == pytest.approx([0.9, 1.1], abs=1e-5)


def test_a_saved_state_goes_on_the_same(network):
    """Moments, step counts and learning rate are kept."""
    optimizer = Adam(network.parameters(), 0.01)
    descend(network, optimizer, 3)
    other = copy.deepcopy(network)
    again = Adam(other.parameters(), 0.5)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    descend(network, optimizer, 2)
    descend(other, again, 2)
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


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
