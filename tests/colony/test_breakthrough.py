import numpy as np
import pytest

from biomarl_tune.colony.breakthrough import detect, empty_history, forget


def sizes(rewards, *, window, threshold):
    """Return what detection answers to the rewards [T, E, N] step by step, [T, E, N + 1]."""
    rewards = np.array(rewards, dtype=np.float32)
    history = empty_history(*rewards.shape[1:], window)
    return np.stack([detect(history, reward, threshold=threshold) for reward in rewards])


def test_sizes_by_hand():
    """A breakthrough is seen when the return rises over mean + deviation, not while it stays.

    Before the third reward the mean of 1 and 3 is 2 and their deviation 1, so 5 is 3 above. The
    fourth is above too, but the return has not come down in between. Before the last one the
    mean is 3.4 and the deviation 1.497, so 6 is 2.6 above. The colony's reward is the mean of
    both agents', half of the first one's.
    """
    rewards = [[[r, 0.0]] for r in (1, 3, 5, 5, 3, 6)]

    found = sizes(rewards, window=1, threshold=1.0)[:, 0]

    assert found == pytest.approx(
        np.array([[0, 0, 0], [0, 0, 0], [3, 0, 1.5], [0, 0, 0], [0, 0, 0], [2.6, 0, 1.3]]),
        rel=1e-5,
    )


def test_threshold_is_in_deviations():
    """With twice the deviation asked for, the last of the returns above is too small."""
    rewards = [[[r]] for r in (1, 3, 5, 5, 3, 6)]

    found = sizes(rewards, window=1, threshold=2.0)[:, 0, 0]

    assert found.tolist() == [0, 0, 3, 0, 0, 0]


def test_window_sums_the_latest_rewards():
    """With a window of 2 the returns are 1, 2, 2, 2, 5, and 5 is 3.25 above their mean."""
    rewards = [[[r]] for r in (1, 1, 1, 1, 4)]

    found = sizes(rewards, window=2, threshold=1.0)[:, 0, 0]

    assert found.tolist() == [0, 0, 0, 0, 3.25]


def test_nothing_is_seen_before_two_windows():
    """A jump in the fourth step is not seen with a window of 2, one in the fifth is."""
    early = sizes([[[r]] for r in (0, 0, 0, 9)], window=2, threshold=1.0)
    later = sizes([[[r]] for r in (0, 0, 0, 0, 9)], window=2, threshold=1.0)

    assert not early.any()
    assert later[:, 0, 0].tolist() == [0, 0, 0, 0, 9]


def test_constant_rewards_are_no_breakthrough():
    """A steady return is never above its own mean, rounding or not."""
    assert not sizes(np.full((200, 1, 2), 0.1), window=1, threshold=0.0).any()


def test_forget_begins_one_world_again():
    """A forgotten world answers like a new one while its neighbour goes on."""
    rewards = np.random.default_rng(0).random((20, 2, 3)).astype(np.float32)
    history, untouched, fresh = (empty_history(2, 3, 2) for _ in range(3))
    for reward in rewards[:10]:
        detect(history, reward, threshold=0.5)
        detect(untouched, reward, threshold=0.5)

    forget(history, np.array([1]))

    for reward in rewards[10:]:
        size = detect(history, reward, threshold=0.5)
        assert np.array_equal(size[0], detect(untouched, reward, threshold=0.5)[0])
        assert np.array_equal(size[1], detect(fresh, reward, threshold=0.5)[1])


def test_sizes_equal_brute_force():
    """The running mean and deviation are those of all windowed returns so far."""
    rewards = np.random.default_rng(1).normal(size=(60, 2, 2)).astype(np.float32)
    window, threshold = 4, 1.0
    columns = np.concatenate([rewards, rewards.mean(axis=2, keepdims=True)], axis=2)
    windowed = np.stack([columns[max(t - window + 1, 0) : t + 1].sum(axis=0) for t in range(60)])
    expected, above = np.zeros_like(windowed), np.zeros(windowed.shape[1:], dtype=bool)
    for t in range(2 * window, 60):
        excess = windowed[t] - windowed[:t].mean(axis=0)
        now = excess > threshold * windowed[:t].std(axis=0)
        expected[t] = np.where(now & ~above, excess, 0.0)
        above = now

    found = sizes(rewards, window=window, threshold=threshold)

    assert (found > 0).sum() > 10
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
