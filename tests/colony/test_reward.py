import numpy as np
import pytest

from biomarl_tune.colony.reward import total_reward
from biomarl_tune.experiment import EnvSettings

PICKED = np.array([[True, False, False], [False, False, False]])
DELIVERED = np.array([[False, True, True], [False, False, True]])


@pytest.mark.parametrize(
    ("shared", "expected"),
    [
        (0.0, [[0.25, 3.75, 3.75], [-0.25, -0.25, 3.75]]),
        (1.0, [[2.25, 5.75, 5.75], [0.75, 0.75, 4.75]]),
    ],
)
def test_total_reward_adds_the_weighted_terms(shared, expected):
    """The reward is the sum of the four terms with the weights of the settings."""
    env = EnvSettings(
        delivery_reward=4.0, pickup_reward=0.5, step_reward=-0.25, shared_delivery_reward=shared
    )

    total = total_reward(PICKED, DELIVERED, env)

    assert total.dtype == np.float32
    assert total.tolist() == expected
