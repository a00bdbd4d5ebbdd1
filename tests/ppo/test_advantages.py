import pytest
import torch

from biomarl_tune.ppo.advantages import generalised_advantages


def column(*values):
    """Return a [T, 1] tensor."""
    return torch.tensor(values)[:, None]


def test_three_steps_by_hand():
    """With gamma 0.5 and lambda 0.5 the second delta counts a quarter, the third a sixteenth.

    delta_t = r_t + 0.5 v_{t+1} - v_t: 1 + 1 - 1 = 1, 0 + 2 - 2 = 0, 2 + 4 - 4 = 2.
    """
    advantages = generalised_advantages(
        column(1.0, 0.0, 2.0),
        column(1.0, 2.0, 4.0),
        column(2.0, 4.0, 8.0),
        column(False, False, False),
        gamma=0.5,
        gae_lambda=0.5,
    )

    assert advantages.flatten().tolist() == [1.125, 0.5, 2.0]


def test_the_end_of_an_episode_cuts_the_sum_but_keeps_the_value():
    """The last step counts the value of what was seen after it, and nothing beyond.

    delta_t: 1 + 1 - 1 = 1; 0 + 0.5 * 6 - 2 = 1 with the final observation's value 6; 2.
    """
    advantages = generalised_advantages(
        column(1.0, 0.0, 2.0),
        column(1.0, 2.0, 4.0),
        column(2.0, 6.0, 8.0),
        column(False, True, False),
        gamma=0.5,
        gae_lambda=0.5,
    )

    assert advantages.flatten().tolist() == [1.25, 1.0, 2.0]


def test_lambda_0_is_the_one_step_error():
    """Without lambda every advantage is its own delta."""
    torch.manual_seed(0)
    r, v, v_next = (torch.randn(6, 2) for _ in range(3))
    last = torch.zeros(6, 2, dtype=torch.bool)

    advantages = generalised_advantages(r, v, v_next, last, gamma=0.9, gae_lambda=0.0)

    torch.testing.assert_close(advantages, r + 0.9 * v_next - v)


@pytest.mark.parametrize("seed", [0, 1])
def test_equals_a_brute_force_sum(seed):
    """Every advantage is the discounted sum of the deltas to the end of its episode."""
    torch.manual_seed(seed)
    r, v, v_next = (torch.randn(20, 3, 2) for _ in range(3))
    last = torch.rand(20, 3, 1) < 0.15
    delta = r + 0.9 * v_next - v
    expected = torch.zeros_like(delta)
    for t in range(20):
        for world in range(3):
            for s in range(t, 20):
                expected[t, world] += (0.9 * 0.7) ** (s - t) * delta[s, world]
                if last[s, world]:
                    break

    advantages = generalised_advantages(r, v, v_next, last, gamma=0.9, gae_lambda=0.7)

    assert last.any()
    torch.testing.assert_close(advantages, expected, rtol=1e-5, atol=1e-5)
