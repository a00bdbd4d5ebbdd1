import dataclasses

import numpy as np
import pytest
import torch

from biomarl_tune.ppo.episodes import play
from biomarl_tune.ppo.local import new_policy

SEEDS = [(5, 0), (5, 1), (6, 0)]


def decided(experiment):
    """Return a brain with opinions, so that likely and unlikely moves differ."""
    policy = new_policy(experiment)
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.normal_(0, 0.5)
    return policy


def long(tiny, **settings):
    """Return the tiny experiment with episodes of 60 steps."""
    return tiny({"env.max_episode_steps": 60, **settings})


def assert_equal(ours, theirs):
    """Check that two sets of episodes are the same in every field."""
    for field in dataclasses.fields(ours):
        ours_is, theirs_is = getattr(ours, field.name), getattr(theirs, field.name)
        assert ours_is == pytest.approx(theirs_is, rel=1e-6), field.name


def test_the_same_seed_gives_the_same_episode_in_any_company(tiny):
    """An episode does not depend on what is played beside it, nor on its place."""
    experiment = long(tiny)
    policy = decided(experiment)

    together = play(experiment.env, policy, SEEDS)

    assert len(set(together.returns)) > 1
    for i, seed in enumerate(SEEDS):
        alone = play(experiment.env, policy, [seed])
        for field in dataclasses.fields(together):
            expected = getattr(together, field.name)[i : i + 1]
            assert getattr(alone, field.name) == pytest.approx(expected, rel=1e-6), field.name
    backwards = play(experiment.env, policy, SEEDS[::-1])
    assert backwards.returns[::-1] == pytest.approx(together.returns, rel=1e-6)


@pytest.mark.parametrize("greedy", [False, True])
def test_playing_again_changes_nothing(tiny, greedy):
    """The same brain and seeds give the same episodes, sampled or greedy."""
    experiment = long(tiny)
    policy = decided(experiment)

    first, second = (play(experiment.env, policy, SEEDS, greedy=greedy) for _ in range(2))

    assert_equal(first, second)


def test_greedy_moves_owe_nothing_to_chance(tiny, monkeypatch):
    """With other chances for the moves greedy episodes stay the same, sampled ones do not."""
    experiment = long(tiny)
    policy = decided(experiment)
    before = [play(experiment.env, policy, SEEDS, greedy=greedy) for greedy in (True, False)]

    monkeypatch.setattr("biomarl_tune.ppo.rollout._ACTION_STREAM", 77)
    after = [play(experiment.env, policy, SEEDS, greedy=greedy) for greedy in (True, False)]

    assert_equal(before[0], after[0])
    assert not np.array_equal(before[1].returns, after[1].returns)


def test_a_return_is_the_sum_of_all_rewards(tiny):
    """With 1 a step the return is agents times steps, with 1 a delivery it is the deliveries."""
    rewards = ("env.step_reward", "env.pickup_reward", "env.delivery_reward")
    steps = long(tiny, **dict(zip(rewards, (1.0, 0.0, 0.0), strict=True)))
    deliveries = long(tiny, **dict(zip(rewards, (0.0, 0.0, 1.0), strict=True)))

    per_step = play(steps.env, decided(steps), SEEDS)
    per_delivery = play(deliveries.env, decided(deliveries), SEEDS)

    assert per_step.returns.tolist() == [180, 180, 180]
    assert per_step.length.tolist() == [60, 60, 60]
    assert per_delivery.deliveries.sum() > 0
    assert np.array_equal(per_delivery.returns, per_delivery.deliveries)


def test_switches_can_be_played_off(tiny):
    """A brain with a part switched off plays on with the same weights."""
    experiment = long(tiny)
    ablated = new_policy(experiment.with_settings({"model.plasticity": False}))
    trained = decided(experiment)
    ablated.load_state_dict(trained.state_dict())

    whole, without = (play(experiment.env, policy, SEEDS) for policy in (trained, ablated))

    assert not np.array_equal(whole.returns, without.returns)
