"""A step of the brain while sampling is that of the plain brain."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from biomarl_tune.brain.joined import FlatWeights, factors
from biomarl_tune.brain.policy import BioPolicy
from biomarl_tune.brain.step_pass import StepPass
from biomarl_tune.colony.world import Colony
from biomarl_tune.experiment import EnvSettings, ModelSettings

ENV = EnvSettings(num_agents=4, grid_size=(3, 2, 2), communication_range=1.0, visit_deposit=1.0)
LARGE = ENV.model_copy(update={"num_agents": 70, "grid_size": (9, 8, 8)})
MODEL = ModelSettings(
    hidden_dim=8, memory_dim=3, message_dim=5, attention_dim=2, neural_plasticity_rate=0.3
)
SWITCHES = ("pheromone_attention", "plasticity", "messages")
SOME_OFF = [(), *((name,) for name in SWITCHES), SWITCHES[:2], SWITCHES[1:], SWITCHES]


def scene(off=(), env=ENV):
    """Return a brain with weights far from zero, and what three worlds observe and remember."""
    torch.manual_seed(0)
    brain = BioPolicy(env, MODEL.model_copy(update=dict.fromkeys(off, False)))
    colony, generator = Colony(env, range(3)), np.random.default_rng(0)
    for _ in range(4):
        colony.step(generator.integers(7, size=(3, env.num_agents)))
    obs = np.zeros((3, env.num_agents, 12), np.float32)
    colony.observe(obs)
    with torch.no_grad():
        for parameter in brain.parameters():
            parameter.normal_(0, 0.5)
    memory = brain.initial_memory(3).normal_()
    return brain, torch.from_numpy(obs), colony.state.cell, memory


def answer(brain, obs, cell, memory):
    """Return what the brain answers to one step, the memories after it among that."""
    step_pass = StepPass(brain, len(obs))
    step_pass.memory.copy_(memory)
    output = step_pass.answer(factors(FlatWeights.of(brain).parts), obs, cell)
    return replace(output, memory=step_pass.memory)


@torch.no_grad()
@pytest.mark.parametrize("env", [ENV, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("off", SOME_OFF)
def test_a_step_is_the_plain_brains(off, env):
    """Whatever is switched off, it answers and remembers as the plain brain does."""
    brain, obs, cell, memory = scene(off, env)
    expected = brain.step(obs, memory)

    found = answer(brain, obs, cell, memory)

    for name, column in vars(expected).items():
        if column is None:
            assert getattr(found, name) is None
            continue
        torch.testing.assert_close(getattr(found, name), column, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_an_agent_that_nobody_is_near_hears_nothing():
    """Alone in its corner, what it is told is zero: the logits are those without messages."""
    brain, obs, cell, memory = scene()
    cell = cell.copy()
    cell[0] = [0, 11, 11, 11]
    silent = BioPolicy(ENV, MODEL.model_copy(update={"messages": False}))
    silent.load_state_dict(brain.state_dict())

    heard = answer(brain, obs, cell, memory).logits[0]
    unheard = answer(silent, obs, cell, memory).logits[0]

    torch.testing.assert_close(heard[0], unheard[0])
    assert not torch.allclose(heard[1], unheard[1])


@torch.no_grad()
def test_steps_follow_one_another():
    """Memories are overwritten, so that the second step finds what the first one wrote."""
    brain, obs, cell, memory = scene()
    weights, step_pass = factors(FlatWeights.of(brain).parts), StepPass(brain, 3)
    step_pass.memory.copy_(memory)
    expected = brain.step(obs, brain.step(obs, memory).memory)

    for _ in range(2):
        found = step_pass.answer(weights, obs, cell)

    torch.testing.assert_close(step_pass.memory, expected.memory, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.logits, expected.logits, rtol=1e-5, atol=1e-5)
