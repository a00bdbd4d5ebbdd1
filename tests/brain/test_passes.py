"""The written-out passes answer and learn as the plain brain does."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from biomarl_tune.brain import communication
from biomarl_tune.brain.chunk import Chunk
from biomarl_tune.brain.joined import FlatWeights
from biomarl_tune.brain.passes import ChunkOutput, Pass
from biomarl_tune.brain.policy import BioPolicy
from biomarl_tune.colony.world import Colony
from biomarl_tune.experiment import EnvSettings, ModelSettings

ENV = EnvSettings(num_agents=4, grid_size=(3, 2, 2), communication_range=1.0, visit_deposit=1.0)
MODEL = ModelSettings(
    hidden_dim=8, memory_dim=3, message_dim=5, attention_dim=2, neural_plasticity_rate=0.3
)
SWITCHES = ("pheromone_attention", "plasticity", "messages")
WORLDS, STEPS = 3, 7


def policy(off=()):
    """Return a brain whose weights are all far from zero."""
    torch.manual_seed(0)
    brain = BioPolicy(ENV, MODEL.model_copy(update=dict.fromkeys(off, False)))
    with torch.no_grad():
        for parameter in brain.parameters():
            parameter.normal_(0, 0.5)
    return brain


def scene():
    """Return observations, beginnings of episodes and memories of three worlds."""
    colony, generator, seen = Colony(ENV, range(WORLDS)), np.random.default_rng(0), []
    for _ in range(STEPS):
        out = np.zeros((WORLDS, 4, 12), np.float32)
        colony.observe(out)
        seen.append(torch.from_numpy(out))
        colony.step(generator.integers(7, size=(WORLDS, 4)))
    first = torch.zeros(WORLDS, STEPS, dtype=torch.bool)
    first[0, 0] = first[2, 4] = True
    memory = torch.randn(WORLDS, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    return torch.stack(seen, dim=1), first, memory


def flat(x):
    """Lay out [W, T, N, ...] as [..., W N T]."""
    return x.permute(*range(3, x.ndim), 0, 2, 1).flatten(-3)


def answer(brain, chunk, dtype=torch.float32):
    """Return the written-out pass of a brain over a chunk."""
    return Pass(chunk, FlatWeights.of(brain).parts, dtype)


def both(brain):
    """Return what the written-out pass and the plain brain answer, laid out alike."""
    obs, first, memory = scene()
    plain = brain.sequence(obs, first, memory)
    fast = answer(brain, Chunk.of(brain, obs, first, memory))
    moves = torch.cat([flat(plain.logits), flat(plain.detector)[None]])
    theirs = {"moves": moves, "value": flat(plain.value)}
    for name in OPTIONAL:
        column = getattr(plain, name)
        theirs[name] = None if column is None else flat(column)
    return fast, ChunkOutput(**theirs)


def slope(output):
    """Return the gradient of a loss over everything that is answered."""
    generator = torch.Generator().manual_seed(2)
    return ChunkOutput._make(
        None if column is None else 2.0 * column * torch.randn(column.shape, generator=generator)
        for column in output
    )


def learned(brain, passed, gradients):
    """Return the gradients of a brain's weights by name, going back through a pass."""
    found, copy = FlatWeights(brain), deepcopy(brain)
    found.vector.fill_(torch.nan)  # whatever is not written shows
    passed.backward(gradients, found.parts)
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.zero_()
    found.write_to(copy)
    return {name: parameter.detach() for name, parameter in copy.named_parameters()}


OPTIONAL = ("message", "gate", "attention")
SOME_OFF = [(), *((name,) for name in SWITCHES), SWITCHES[:2], SWITCHES[1:], SWITCHES]


@pytest.fixture(params=["pairs", "cells"])
def hearing(request, monkeypatch):
    """Let agents hear by pairs, as small colonies do, or by cells, as large ones do."""
    if request.param == "cells":
        monkeypatch.setattr(communication, "_PAIRED_AGENTS", 0)


@torch.no_grad()
@pytest.mark.parametrize("off", SOME_OFF)
def test_both_answer_alike(off, hearing):
    """Moves, values, messages, gates and attention are those of the plain brain."""
    fast, expected = both(policy(off))

    for name, column in expected._asdict().items():
        found = getattr(fast.output, name)
        if column is None:
            assert found is None
            continue
        torch.testing.assert_close(found, column, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("off", SOME_OFF)
def test_both_learn_alike(off, hearing):
    """Every gradient is autograd's, for a loss over everything that is answered."""
    brain = policy(off)
    with torch.no_grad():
        fast, _ = both(brain)
        ours = learned(brain, fast, slope(fast.output))

    plain = both(brain)[1]
    with torch.no_grad():
        wanted = slope(plain)
    sum((a * b).sum() for a, b in zip(plain, wanted, strict=True) if a is not None).backward()

    for name, parameter in brain.named_parameters():
        theirs = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(ours[name], theirs, rtol=1e-4, atol=1e-4, msg=name)


@torch.no_grad()
def test_what_has_no_gradient_teaches_nothing():
    """Messages, gates and attention without a loss of their own are as with one of zero."""
    brain = policy()
    fast, _ = both(brain)
    moves, value, *rest = slope(fast.output)

    without = learned(brain, fast, ChunkOutput(moves, value))
    again, _ = both(brain)
    zero = learned(brain, again, ChunkOutput(moves, value, *map(torch.zeros_like, rest)))

    for name, gradient in without.items():
        torch.testing.assert_close(gradient, zero[name], msg=name)


@pytest.mark.parametrize("off", SOME_OFF)
def test_weights_come_back_as_they_went(off):
    """Laid out flat and written to another brain, the weights are the same; the rest stays."""
    brain, other = policy(off), policy(off)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    flat_weights = FlatWeights.of(brain)

    flat_weights.write_to(other)

    written = sum(parameter.any() for parameter in other.parameters())
    pairs = zip(brain.parameters(), other.parameters(), strict=True)
    assert written == sum(torch.equal(one, two) for one, two in pairs)
    numbers = sum(int(parameter.count_nonzero()) for parameter in other.parameters())
    assert int(flat_weights.vector.count_nonzero()) == numbers


@torch.no_grad()
def test_a_chunk_of_some_worlds():
    """Selected worlds are answered as in the whole batch."""
    brain, (obs, first, memory) = policy(), scene()
    whole, chosen = Chunk.of(brain, obs, first, memory), torch.tensor([2, 0])

    part = answer(brain, whole.select(chosen)).output.value.view(2, -1)

    expected = answer(brain, whole).output.value.view(WORLDS, -1)[chosen]
    torch.testing.assert_close(part, expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_bfloat16_is_close():
    """With hidden layers in bfloat16 answers and gradients are those of float32 to 5 %."""
    obs, first, memory = scene()
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        brain, gradient = policy(), FlatWeights(policy())
        passed = answer(brain, Chunk.of(brain, obs, first, memory), dtype)
        passed.backward(
            ChunkOutput(2 * passed.output.moves, 2 * passed.output.value), gradient.parts
        )
        found.append((passed.output.moves, gradient.vector))

    for exact, rounded in zip(*found, strict=True):
        assert rounded.dtype == torch.float32
        assert (rounded - exact).norm() < 0.05 * exact.norm()
