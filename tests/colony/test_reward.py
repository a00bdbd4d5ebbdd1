import numpy as np
import pytest

from biomarl_tune.colony import reward
from biomarl_tune.experiment import EnvSettings

PICKED = np.array([[True, False, False], [False, False, False]])
DELIVERED = np.array([[False, True, True], [False, False, True]])


def test_delivery_rewards_who_unloads():
    """Each agent that unloads gets the weight, the others nothing."""
    assert reward.delivery(DELIVERED, weight=2.0).tolist() == [[0, 2, 2], [0, 0, 2]]


def test_pickup_rewards_who_loads():
    """Each agent that loads gets the weight, the others nothing."""
    assert reward.pickup(PICKED, weight=0.5).tolist() == [[0.5, 0, 0], [0, 0, 0]]


def test_step_cost_is_everyones():
    """Every agent of every world pays for the step."""
    assert reward.step_cost(PICKED, weight=-0.25).tolist() == [[-0.25] * 3, [-0.25] * 3]


def test_shared_delivery_goes_to_the_whole_colony():
    """Every agent gets the weight for each delivery of its own colony."""
    assert reward.shared_delivery(DELIVERED, weight=0.5).tolist() == [[1, 1, 1], [0.5, 0.5, 0.5]]


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

    total = reward.total_reward(PICKED, DELIVERED, env)

    assert total.dtype == np.float32
    assert total.tolist() == expected
