import math

import numpy as np
import pytest
import torch

from biomarl_tune.ppo.local import new_policy
from biomarl_tune.ppo.measures import Measures
from biomarl_tune.ppo.sampling import Sampler

EXACT = ("actions", "first", "labels", "label_mask")


def sampler(experiment, worlds=None):
    """Return a sampler whose brain is opinionated enough to tell observations apart."""
    policy = new_policy(experiment)
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.normal_(0, 0.5)
    return Sampler(experiment, policy, worlds)


def assert_same_batch(ours, theirs):
    """Check that flags and moves are equal and numbers equal to rounding."""
    assert ours.keys() == theirs.keys()
    for name, column in ours.items():
        if name in EXACT:
            assert torch.equal(column, theirs[name]), name
        else:
            torch.testing.assert_close(column, theirs[name], rtol=1e-5, atol=1e-5, msg=name)


def test_shapes_of_a_batch(tiny):
    """Worlds come first, then steps and agents."""
    batch, measures = sampler(tiny()).sample()

    each = dict.fromkeys(
        ("actions", "logp", "values", "advantages", "returns", "labels", "label_mask"), (5, 10, 3)
    )
    shapes = {"obs": (5, 10, 3, 12), "first": (5, 10), "memory": (5, 3, 3, 3), **each}
    assert {name: tuple(column.shape) for name, column in batch.items()} == shapes
    assert measures.agent_steps == 150
    assert measures.world_steps == 50


def test_two_samplers_draw_what_one_does(tiny):
    """Splitting the worlds over samplers changes neither batches nor measures."""
    whole = sampler(tiny())
    parts = [sampler(tiny(), range(2)), sampler(tiny(), range(2, 5))]
    for _ in range(3):
        batch, measures = whole.sample()

        drawn = [part.sample() for part in parts]

        joined = {name: torch.cat([part[0][name] for part in drawn]) for name in batch}
        assert_same_batch(joined, batch)
        merged = vars(Measures.merged(part[1] for part in drawn))
        assert merged == pytest.approx(vars(measures), rel=1e-5)


def test_worlds_start_staggered(tiny):
    """Five worlds start at the fifths of an episode of seven steps, all with a first step."""
    drawing = sampler(tiny())

    starts = drawing.acting.colony.state.step.tolist()
    batch, _ = drawing.sample()

    assert starts == [0, 1, 2, 4, 5]
    for start, first in zip(starts, batch["first"].tolist(), strict=True):
        assert first == [t == 0 or (start + t) % 7 == 0 for t in range(10)]


def test_first_flags_go_on_in_the_next_batch(tiny):
    """An episode that ends with a batch begins anew at the first step of the next."""
    drawing = sampler(
        tiny({"ppo.rollout_steps": 7, "ppo.train_batch_size": 21, "ppo.minibatch_size": 21})
    )

    drawing.sample()
    batch, _ = drawing.sample()

    assert batch["first"].tolist() == [[True, *[False] * 6]]
    assert not batch["memory"].any()


def test_memory_is_that_before_the_batch(tiny):
    """The first batch starts with nothing in mind, the second with what the first left."""
    drawing = sampler(tiny({"env.max_episode_steps": 1000}))

    before, _ = drawing.sample()
    left = drawing.acting.memory.clone()
    after, _ = drawing.sample()

    assert not before["memory"].any()
    assert left.any()
    assert torch.equal(after["memory"], left)


@pytest.mark.parametrize("steps", [10, 7, 14, 3])
@torch.no_grad()
def test_a_batch_equals_stepping_by_hand(tiny, steps):
    """Observations, values and advantages are those of a plain loop that looks one step ahead.

    The value after an episode's end is that of its final observation with its memory, before the
    world is reset; with 7 and 14 steps episodes end with the batch, with 3 none ends in the first.
    """
    settings = {
        "ppo.rollout_steps": steps,
        "ppo.train_batch_size": 6 * steps,
        "ppo.minibatch_size": 3,
    }
    experiment = tiny(settings)
    drawing, twin = sampler(experiment), sampler(experiment).acting
    twin.colony.state.step[:] = drawing.acting.colony.state.step
    for _ in range(2):
        batch, _ = drawing.sample()
        by_hand = replayed(twin, batch["actions"])

        torch.testing.assert_close(batch["obs"], by_hand["obs"])
        for name in ("values", "logp", "advantages", "returns"):
            torch.testing.assert_close(batch[name], by_hand[name], rtol=1e-5, atol=1e-5)


def replayed(twin, actions):
    """Return what moves [E, T, N] bring, and their advantages by brute force."""
    policy, steps = twin.policy, actions.shape[1]
    columns = {name: [] for name in ("obs", "values", "logp", "reward", "next_value", "done")}
    for t in range(steps):
        obs = twin.observe()
        output = policy.step(obs, twin.memory)
        logp = torch.log_softmax(output.logits, dim=-1)
        transition = twin.colony.step(actions[:, t].numpy())
        final = policy.step(twin.observe(), output.memory).value
        twin.memory.copy_(output.memory)
        twin.begin_episodes(np.flatnonzero(transition.done))
        found = {
            "obs": obs,
            "values": output.value,
            "logp": logp.gather(-1, actions[:, t, :, None])[..., 0],
            "reward": torch.from_numpy(transition.reward),
            "next_value": final,
            "done": torch.from_numpy(transition.done),
        }
        for name, column in found.items():
            columns[name].append(column)
    stacked = {name: torch.stack(column, dim=1) for name, column in columns.items()}
    delta = stacked["reward"] + 0.9 * stacked["next_value"] - stacked["values"]
    advantages = torch.zeros_like(delta)
    for world in range(actions.shape[0]):
        for t in range(steps):
            ends = [s for s in range(t, steps) if stacked["done"][world, s]]
            for s in range(t, min([*ends, steps - 1]) + 1):
                advantages[world, t] += 0.72 ** (s - t) * delta[world, s]  # gamma lambda
    return {**stacked, "advantages": advantages, "returns": advantages + stacked["values"]}


def test_returns_count_whole_episodes_alone(tiny):
    """A world that started in the middle of an episode counts from its first whole one on.

    Of two worlds of 7 steps the first starts at 0 and ends after 7 and 14 steps, the second starts
    at 3 and ends after 4 and 11; batches of 4 steps end after 4, 8, 12 and 16.
    """
    experiment = tiny(
        {"ppo.rollout_steps": 4, "ppo.train_batch_size": 24, "ppo.minibatch_size": 24}
    )
    drawing = sampler(experiment)

    measured = [drawing.sample()[1] for _ in range(4)]

    assert drawing.experiment.num_worlds == 2
    assert [m.episodes for m in measured] == [0, 1, 1, 1]
    assert [m.episode_length for m in measured] == [0, 7, 7, 7]


def test_measures_of_returns_by_hand(tiny):
    """With a reward of 1 a step and agent an episode of 7 steps and 3 agents returns 21."""
    settings = {"env.step_reward": 1.0, "env.delivery_reward": 0.0, "env.pickup_reward": 0.0}
    drawing = sampler(tiny(settings))

    scalars = [drawing.sample()[1].scalars(7) for _ in range(3)]

    for found in scalars:
        names = ("episode_return_mean", "episode_return_min", "episode_return_max")
        assert [found[name] for name in names] == pytest.approx([21, 21, 21])
        assert found["episode_len_mean"] == 7


def test_deliveries_by_hand(tiny):
    """With a reward for deliveries alone the return is the number of deliveries."""
    settings = {"env.step_reward": 0.0, "env.pickup_reward": 0.0, "env.delivery_reward": 1.0}
    drawing = sampler(tiny(settings))

    scalars = [drawing.sample()[1].scalars(7) for _ in range(5)]

    for found in scalars:
        assert found["deliveries_per_episode"] == pytest.approx(found["episode_return_mean"])
    assert max(found["deliveries_per_episode"] for found in scalars) > 0


def test_scalars_are_finite_and_norms_are_seen(tiny):
    """Every scalar of the worlds is finite from the first batch, and memories are not empty."""
    for steps in (1, 7, 10):
        drawing = sampler(tiny({"ppo.rollout_steps": steps, "ppo.train_batch_size": 60}))
        scalars = drawing.sample()[1].scalars(7)

        assert all(math.isfinite(value) for value in scalars.values())
        assert scalars["plasticity_norm"] > 0
        assert scalars["message_norm"] > 0


def test_a_single_world_whose_episode_ends_with_the_batch(tiny):
    """One world that is due for a reset after every batch is sampled like any other."""
    experiment = tiny(
        {"ppo.rollout_steps": 7, "ppo.train_batch_size": 21, "ppo.minibatch_size": 21}
    )
    drawing = sampler(experiment)

    for _ in range(2):
        batch, measures = drawing.sample()
        assert measures.episodes == 1
        assert measures.scalars(7)["plasticity_norm"] > 0
        assert torch.isfinite(batch["advantages"]).all()


def test_state_continues_bit_for_bit(tiny):
    """A sampler that takes over the state of another draws its next batches, to the last bit."""
    experiment = tiny()
    drawing = sampler(experiment)
    drawing.sample()
    saved = drawing.get_state()
    expected = [drawing.sample() for _ in range(3)]

    for other in (drawing, sampler(experiment)):
        other.set_state(saved)
        for batch, measures in expected:
            again, measured = other.sample()
            assert all(torch.equal(again[name], column) for name, column in batch.items())
            assert measured == measures


def test_the_seed_decides(tiny):
    """Another seed moves other agents."""
    first, second = (sampler(tiny({"seed": seed})).sample()[0] for seed in (1, 2))

    assert not torch.equal(first["actions"], second["actions"])


def test_coverage_counts_cells_with_a_trail(tiny):
    """Where every visit leaves a whole deposit that stays, the cells of the agents are covered."""
    settings = {"env.visit_deposit": 1.0, "env.pheromone_decay": 1.0, "ppo.rollout_steps": 1}
    drawing = sampler(tiny({**settings, "ppo.train_batch_size": 3, "ppo.minibatch_size": 3}))

    scalars = drawing.sample()[1].scalars(7)

    cells = len(set(drawing.acting.colony.state.cell[0].tolist()))
    assert scalars["trail_coverage"] == cells / 4
    assert scalars["pheromone_strength"] == 3 / 4
