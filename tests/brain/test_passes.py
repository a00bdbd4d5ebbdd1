"""The written-out passes answer and learn as the plain brain does."""

import numpy as np
import pytest
import torch

from biomarl_tune.brain import communication
from biomarl_tune.brain.chunk import Chunk
from biomarl_tune.brain.passes import answer
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


def both(brain):
    """Return what the plain and the written-out pass answer, by like names and layouts."""
    obs, first, memory = scene()
    plain = brain.sequence(obs, first, memory)
    fast = answer(brain, Chunk.of(brain, obs, first, memory))
    moves = torch.cat([flat(plain.logits), flat(plain.detector)[None]])
    ours = {name: getattr(fast, name) for name in ("moves", "value", *OPTIONAL)}
    theirs = {"moves": moves, "value": flat(plain.value)}
    for name in OPTIONAL:
        column = getattr(plain, name)
        theirs[name] = None if column is None else flat(column)
    return ours, theirs


OPTIONAL = ("message", "gate", "attention")
SOME_OFF = [(), *((name,) for name in SWITCHES), SWITCHES[:2], SWITCHES[1:], SWITCHES]


@pytest.fixture(params=["pairs", "cells"])
def hearing(request, monkeypatch):
    """Let agents hear by pairs, as small colonies do, or by cells, as large ones do."""
    if request.param == "cells":
        monkeypatch.setattr(communication, "_PAIRED_AGENTS", 0)


@pytest.mark.parametrize("off", SOME_OFF)
def test_both_answer_alike(off, hearing):
    """Moves, values, messages, gates and attention are those of the plain brain."""
    ours, theirs = both(policy(off))

    for name, column in theirs.items():
        if column is None:
            assert ours[name] is None
            continue
        torch.testing.assert_close(ours[name], column, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("off", SOME_OFF)
def test_both_learn_alike(off, hearing):
    """Every gradient is autograd's, for a loss over everything that is answered."""
    gradients = []
    for side in (0, 1):
        brain = policy(off)
        found = both(brain)[side]
        generator = torch.Generator().manual_seed(2)
        loss = sum(
            (column.square() * torch.randn(column.shape, generator=generator)).sum()
            for column in found.values()
            if column is not None
        )
        loss.backward()
        gradients.append({name: p.grad for name, p in brain.named_parameters()})

    for name, ours in gradients[0].items():
        theirs = gradients[1][name]
        assert (ours is None) == (theirs is None), name
        if ours is not None:
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4, msg=name)


def test_a_chunk_of_some_worlds():
    """Selected worlds are answered as in the whole batch."""
    brain, (obs, first, memory) = policy(), scene()
    whole, chosen = Chunk.of(brain, obs, first, memory), torch.tensor([2, 0])

    part = answer(brain, whole.select(chosen)).value.view(2, -1)

    expected = answer(brain, whole).value.view(WORLDS, -1)[chosen]
    torch.testing.assert_close(part, expected, rtol=1e-5, atol=1e-5)


def test_bfloat16_is_close():
    """With hidden layers in bfloat16 answers and gradients are those of float32 to 5 %."""
    obs, first, memory = scene()
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        brain = policy()
        output = answer(brain, Chunk.of(brain, obs, first, memory), dtype=dtype)
        (output.moves.square().sum() + output.value.square().sum()).backward()
        gradient = torch.cat([p.grad.flatten() for p in brain.parameters()])
        found.append((output.moves.detach(), gradient))

    for exact, rounded in zip(*found, strict=True):
        assert rounded.dtype == torch.float32
        assert (rounded - exact).norm() < 0.05 * exact.norm()
