import numpy as np
import pytest
import torch

from biomarl_tune.ppo.local import new_policy
from biomarl_tune.ppo.rollout import ActingColony, choose

PROBABILITIES = torch.tensor([0.1, 0.2, 0.05, 0.25, 0.3, 0.04, 0.06])


def test_choose_inverts_the_distribution():
    """Each move has the part of [0, 1) that its probability gives it: 0.1, 0.3, 0.35, 0.6, ..."""
    uniform = torch.tensor([0.05, 0.15, 0.29, 0.31, 0.36, 0.59, 0.61, 0.91, 0.95])

    actions, logp = choose(PROBABILITIES.log().expand(9, 7), uniform)

    assert actions.tolist() == [0, 1, 1, 2, 3, 3, 4, 5, 6]
    torch.testing.assert_close(logp, PROBABILITIES.log()[actions])


def test_choose_has_the_right_frequencies():
    """Over evenly spaced chances each move comes up as often as its probability says."""
    count = 20_000
    uniform = (torch.arange(count) + 0.5) / count

    actions, _ = choose(PROBABILITIES.log().expand(count, 7), uniform)

    frequencies = torch.bincount(actions, minlength=7) / count
    torch.testing.assert_close(frequencies, PROBABILITIES, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("uniform", "expected"), [(0.0, 0), (0.9999999, 6)])
def test_choose_at_the_edges(uniform, expected):
    """The least and the greatest chance choose the first and the last move."""
    action, logp = choose(PROBABILITIES.log(), torch.tensor(uniform))

    assert int(action) == expected
    assert torch.isfinite(logp)


@pytest.mark.parametrize("only", [0, 3, 6])
@pytest.mark.parametrize("uniform", [0.0, 0.5, 0.9999999])
def test_choose_never_takes_an_impossible_move(only, uniform):
    """Where one move has all the probability it is taken at every chance."""
    logits = torch.full((7,), -200.0)
    logits[only] = 0.0

    action, logp = choose(logits, torch.tensor(uniform))

    assert int(action) == only
    assert float(logp) == 0.0


def acting(tiny, worlds):
    """Return acting colonies of some worlds of the tiny experiment."""
    experiment = tiny()
    return ActingColony(
        experiment.env, new_policy(experiment), [(experiment.seed, i) for i in worlds]
    )


def test_chance_is_a_worlds_own(tiny):
    """A world draws the same numbers in any company, and drawn in parts they go on."""
    together, alone = acting(tiny, [0, 1, 2]).draw(6), acting(tiny, [1])

    parts = torch.cat([alone.draw(2), alone.draw(4)])

    assert together.shape == (6, 3, 3)
    assert torch.equal(together[:, 1:2], parts)
    assert float(together.min()) >= 0.0
    assert float(together.max()) < 1.0


def test_streams_of_random_numbers_differ(tiny):
    """No two worlds, nor the world and the moves of one, draw the same numbers."""
    colony = acting(tiny, range(4))
    shuffle = np.random.default_rng((tiny().seed, 2))
    generators = [*colony.colony.generators, *colony.generators, shuffle]

    drawn = [tuple(generator.integers(2**60, size=2)) for generator in generators]

    assert len(set(drawn)) == len(generators)


@torch.no_grad()
def test_greedy_takes_the_likeliest_move(tiny):
    """Greedy moves are those of the highest logits, whatever the chance."""
    colony = acting(tiny, [0, 1])

    step = colony.advance(torch.full((2, 3), 0.5), greedy=True)

    assert torch.equal(step.actions, step.output.logits.argmax(dim=-1))
    assert (step.output.logits.amax(dim=-1, keepdim=True) >= step.output.logits).all()


@torch.no_grad()
def test_begin_episodes_empties_memories(tiny):
    """The worlds that begin again have agents that remember nothing, the others remember."""
    colony = acting(tiny, [0, 1])
    colony.advance(colony.draw(1)[0])

    colony.begin_episodes(np.array([0]))

    assert colony.fresh.tolist() == [True, False]
    assert not colony.memory[0].any()
    assert colony.memory[1].any()
    assert colony.colony.state.step.tolist() == [0, 1]
