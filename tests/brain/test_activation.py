import pytest
import torch

from biomarl_tune.brain.activation import fast_tanh


def test_equals_torch_tanh():
    """Values agree with torch's to some roundings of a float, saturation included."""
    x = torch.cat([torch.linspace(-12, 12, 4001), torch.tensor([-1e4, 0.0, 1e4])])

    torch.testing.assert_close(fast_tanh(x), torch.tanh(x), rtol=0, atol=5e-7)


def test_gradient_equals_that_of_torch_tanh():
    """The gradient is 1 - tanh squared, and 0 where tanh is flat."""
    ours, theirs = (torch.linspace(-12, 12, 101, requires_grad=True) for _ in range(2))

    fast_tanh(ours).sum().backward()
    torch.tanh(theirs).sum().backward()

    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(7,), (2, 3)])
def test_gradient_equals_finite_differences(shape):
    """The written-out gradient is that of the value, in double precision."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True)

    assert torch.autograd.gradcheck(fast_tanh, (x,))


def test_input_is_left_alone():
    """What is computed in place is never the input."""
    x = torch.tensor([0.5, -0.5])

    fast_tanh(x)

    assert x.tolist() == [0.5, -0.5]
