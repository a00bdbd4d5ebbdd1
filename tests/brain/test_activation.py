import pytest
import torch

from biomarl_tune.brain.activation import fast_tanh, tanh_, tanh_by_sigmoid_


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


@pytest.mark.parametrize("in_place", [tanh_, tanh_by_sigmoid_])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 5e-7), (torch.bfloat16, 8e-3)])
def test_in_place_it_is_the_same_on_every_processor(in_place, dtype, tolerance):
    """Whichever form is faster here, both are the hyperbolic tangent."""
    x = torch.linspace(-9.0, 9.0, 10_001).to(dtype)
    expected = torch.tanh(x.double())
    y = x.clone()

    assert in_place(y) is y

    torch.testing.assert_close(y.double(), expected, rtol=0, atol=tolerance)
