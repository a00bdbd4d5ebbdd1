import numpy as np
import pytest
import torch

from biomarl_tune.brain.policy import BioPolicy
from biomarl_tune.colony.world import Colony
from biomarl_tune.experiment import EnvSettings, ModelSettings

ENV = EnvSettings(num_agents=4, grid_size=(3, 2, 2), communication_range=1.0)
MODEL = ModelSettings(
    hidden_dim=8, memory_dim=3, message_dim=5, attention_dim=2, neural_plasticity_rate=0.3
)
SWITCHES = ("pheromone_attention", "plasticity", "messages")
OFF = dict.fromkeys(SWITCHES, False)


def policy(env=ENV, **changes):
    """Return a brain whose weights are all far from zero."""
    torch.manual_seed(0)
    brain = BioPolicy(env, MODEL.model_copy(update=changes))
    with torch.no_grad():
        for parameter in brain.parameters():
            parameter.normal_(0, 0.5)
    return brain


def observed(worlds, steps, env=ENV):
    """Return what agents on random walks observe, [worlds, steps, N, 12]."""
    colony, moves = Colony(env.model_copy(update={"visit_deposit": 1.0}), range(worlds)), []
    generator, out = np.random.default_rng(0), np.zeros((worlds, env.num_agents, 12), np.float32)
    for _ in range(steps):
        colony.observe(out)
        moves.append(torch.from_numpy(out.copy()))
        colony.step(generator.integers(7, size=(worlds, env.num_agents)))
    return torch.stack(moves, dim=1)


def step_by_step(brain, obs, first, memory):
    """Return the outputs of every step in turn, memories emptied where an episode begins."""
    outputs, memory = [], memory.clone()
    for t in range(obs.shape[1]):
        memory[first[:, t]] = 0.0
        outputs.append(brain.step(obs[:, t], memory))
        memory = outputs[-1].memory
    return outputs


@pytest.mark.parametrize("off", [(), *((name,) for name in SWITCHES), SWITCHES])
def test_steps_and_sequences_answer_alike(off):
    """Sampling and learning see the same brain, whatever is switched off."""
    brain = policy(**dict.fromkeys(off, False))
    obs = observed(2, 8)
    first = torch.zeros(2, 8, dtype=torch.bool)
    first[0, 0] = first[1, 5] = True
    memory = torch.randn(2, 4, 3, 3)

    sequence = brain.sequence(obs, first, memory)

    steps = step_by_step(brain, obs, first, memory)
    assert sequence.memory is None
    for name in ("logits", "value", "detector", "message", "gate", "attention"):
        each = [getattr(step, name) for step in steps]
        if getattr(sequence, name) is None:
            assert each == [None] * 8
            continue
        torch.testing.assert_close(
            torch.stack(each, dim=1), getattr(sequence, name), rtol=1e-5, atol=1e-5
        )


def test_shapes_of_an_answer():
    """Leading axes are those of the observations, the memory's those of worlds and agents."""
    brain, obs = policy(), observed(2, 6)

    step = brain.step(obs[:, 0], brain.initial_memory(2))
    sequence = brain.sequence(obs, torch.zeros(2, 6, dtype=torch.bool), brain.initial_memory(2))

    assert step.logits.shape == (2, 4, 7)
    assert step.memory.shape == (2, 4, 3, 3)
    assert sequence.logits.shape == sequence.attention.shape == (2, 6, 4, 7)
    assert sequence.value.shape == sequence.detector.shape == sequence.gate.shape == (2, 6, 4)
    assert sequence.message.shape == (2, 6, 4, 5)


def test_switches_leave_the_weights_alone():
    """A brain with parts off has the same weights, so a trained one can be loaded into it."""
    trained, ablated = policy(), policy(**OFF)

    missing = ablated.load_state_dict(trained.state_dict())

    assert missing.missing_keys == missing.unexpected_keys == []


@pytest.mark.parametrize("off", SWITCHES)
def test_every_switch_changes_the_answer(off):
    """Each part has a say in logits and values, for attention is also remembered and told."""
    torch.manual_seed(1)
    obs, memory = observed(1, 8), torch.randn(1, 4, 3, 3)
    first = torch.zeros(1, 8, dtype=torch.bool)

    on, ablated = (
        brain.sequence(obs, first, memory) for brain in (policy(), policy(**{off: False}))
    )

    assert not torch.allclose(on.logits, ablated.logits)
    assert not torch.allclose(on.value, ablated.value)


def test_with_all_switches_off_it_is_a_plain_perceptron():
    """Logits and values are those of two networks of two hidden layers."""
    brain, obs = policy(**OFF), observed(2, 1)[:, 0]

    output = brain.step(obs, brain.initial_memory(2))

    actor = torch.tanh(brain.actor_hidden(torch.tanh(brain.actor_in(obs))))
    critic = torch.tanh(brain.critic_hidden(torch.tanh(brain.critic_in(obs))))
    torch.testing.assert_close(output.logits, brain.actor_out(actor), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(output.value, brain.critic_out(critic)[..., 0], rtol=1e-5, atol=1e-5)
    assert not output.memory.any()
    assert output.message is output.gate is output.attention is None


@pytest.mark.parametrize("grid", [(3, 2, 2), (1, 1, 2), (4, 3, 3), (200, 7, 11)])
def test_cells_are_read_from_the_observation(grid):
    """The cell that the brain decodes is the one in which the colony has the agent."""
    env = EnvSettings(num_agents=50, grid_size=grid, communication_range=0.0)
    colony, out = Colony(env, [0, 1]), np.zeros((2, 50, 12), dtype=np.float32)
    colony.state.cell[:] = np.random.default_rng(0).integers(env.num_cells, size=(2, 50))
    colony.observe(out)

    cells = policy(env).cells(torch.from_numpy(out))

    assert np.array_equal(cells.numpy(), colony.state.cell)


def test_worlds_do_not_hear_each_other():
    """A world's answer is the same whatever its neighbour in the batch observes."""
    brain, obs = policy(), observed(3, 5)
    first, memory = torch.zeros(3, 5, dtype=torch.bool), torch.randn(3, 4, 3, 3)

    together = brain.sequence(obs, first, memory).logits

    alone = brain.sequence(obs[1:2], first[1:2], memory[1:2]).logits
    torch.testing.assert_close(together[1:2], alone, rtol=1e-5, atol=1e-5)


def test_agents_are_interchangeable():
    """Renumbering the agents renumbers the answers, for the policy is shared."""
    brain, obs = policy(), observed(1, 5)[:, -1]
    memory, order = torch.randn(1, 4, 3, 3), torch.tensor([2, 0, 3, 1])

    output = brain.step(obs, memory)
    renumbered = brain.step(obs[:, order], memory[:, order])

    torch.testing.assert_close(renumbered.logits, output.logits[:, order], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(renumbered.memory, output.memory[:, order], rtol=1e-5, atol=1e-5)


def test_every_weight_learns():
    """A loss over logits, values and detector reaches every parameter."""
    brain, obs = policy(), observed(2, 6)
    first = torch.zeros(2, 6, dtype=torch.bool)

    output = brain.sequence(obs, first, torch.randn(2, 4, 3, 3))
    loss = output.logits.square().sum() + output.value.sum() + output.detector.sum()
    loss.backward()

    still = [name for name, p in brain.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_a_new_brain_has_no_preference():
    """Fresh logits are small, so that the first moves are nearly uniform."""
    torch.manual_seed(0)
    brain = BioPolicy(ENV, MODEL)

    output = brain.step(observed(2, 6)[:, -1], brain.initial_memory(2))

    assert torch.softmax(output.logits, dim=-1).sub(1 / 7).abs().max() < 0.05
