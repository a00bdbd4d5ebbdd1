import pytest
import torch

from biomarl_tune.brain.communication import Ears, Neighbourhood, hear
from biomarl_tune.colony import lattice

neighbourhood = Neighbourhood


def test_hear_by_hand():
    """On three cells in a row with range 1, those in the middle hear all the others.

    The agents 0 and 1 stand in cell 0, agent 2 in the middle and agent 3 at the other end.
    """
    messages = torch.tensor([[[1.0], [2.0], [4.0], [8.0]]])
    cell = torch.tensor([[0, 0, 1, 2]])

    heard = hear(messages, cell, neighbourhood((3, 1, 1), 1.0))

    assert heard.flatten().tolist() == pytest.approx([3.0, 2.5, 11 / 3, 4.0])


def test_who_is_alone_hears_nothing():
    """An agent without neighbours hears exact zeros."""
    heard = hear(torch.full((1, 2, 3), 0.1), torch.tensor([[0, 2]]), neighbourhood((3, 1, 1), 1.0))

    assert not heard.any()


@pytest.mark.parametrize("reach", [0.0, 1.0, 2.0, 9.0])
def test_hear_equals_pairwise_means(reach):
    """Every agent hears the mean of the others whose cells are in range, in its own world."""
    grid, generator = (4, 3, 3), torch.Generator().manual_seed(0)
    position = torch.from_numpy(lattice.coordinates(grid)).double()
    messages = torch.randn(2, 12, 5, generator=generator)
    cell = torch.randint(36, (2, 12), generator=generator)
    expected = torch.zeros_like(messages)
    for world in range(2):
        distance = torch.cdist(position[cell[world]], position[cell[world]])
        for agent in range(12):
            near = [j for j in range(12) if j != agent and distance[agent, j] <= reach]
            if near:
                expected[world, agent] = messages[world, near].mean(dim=0)

    heard = hear(messages, cell, neighbourhood(grid, reach))

    torch.testing.assert_close(heard, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("grid", "reach"), [((4, 3, 3), 2.0), ((1, 1, 2), 0.0), ((3, 2, 1), 9.0)])
def test_both_ways_to_spread_agree(grid, reach):
    """The product with a matrix and the gathering by lists add up the same cells."""
    near, cells = neighbourhood(grid, reach), grid[0] * grid[1] * grid[2]
    sums = torch.randn(3, cells, 4, generator=torch.Generator().manual_seed(0))

    torch.testing.assert_close(near.spread(sums), near.gather(sums), rtol=1e-5, atol=1e-5)


def test_large_lattices_are_gathered():
    """Where a matrix of all cells would be large there is none, and the sums are the same."""
    near = neighbourhood((600, 1, 1), 1.0)

    total = near.spread(torch.ones(1, 600, 1)).flatten().tolist()

    assert total == [2.0, *[3.0] * 598, 2.0]


def test_gradients_flow_to_the_speakers():
    """What one agent hears teaches its neighbours what to say, and not itself."""
    messages = torch.zeros(1, 3, 1, requires_grad=True)

    heard = hear(messages, torch.tensor([[0, 0, 0]]), neighbourhood((1, 1, 2), 0.0))
    heard[0, 0].sum().backward()

    assert messages.grad.flatten().tolist() == [0.0, 0.5, 0.5]


@pytest.mark.parametrize("reach", [0.0, 1.0, 3**0.5, 2.5, 20.0])
@pytest.mark.parametrize("agents", [5, 70], ids=["by pairs", "by cells"])
def test_ears_hear_what_is_heard(reach, agents):
    """At every step of every world, laid out columns first; and back is the transposed."""
    grid, generator = (9, 8, 8), torch.Generator().manual_seed(0)
    near = neighbourhood(grid, reach)
    cell = torch.randint(576, (2, 3, agents), generator=generator)
    said = torch.randn(4, 2, agents, 3, generator=generator)
    ears = Ears(cell.numpy(), near)
    expected = hear(said.permute(1, 3, 2, 0).flatten(0, 1), cell.flatten(0, 1), near)
    gradient = torch.randn(said.shape, generator=generator)

    heard, back = ears.hear(said), ears.back(gradient)

    wanted = expected.view(2, 3, agents, 4).permute(3, 0, 2, 1)
    torch.testing.assert_close(heard, wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close((heard * gradient).sum(), (said * back).sum(), rtol=1e-4, atol=1e-4)
