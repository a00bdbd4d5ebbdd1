from __future__ import annotations

import pytest

from biomarl_tune.search.spec import parse_spec
from biomarl_tune.timing import Corner, Cost, CostModel, corner_settings, time_corners

SPACE = """\
name: a
experiment: {ppo: {train_batch_size: 400, minibatch_size: 200}}
space:
  env.pheromone_decay: {uniform: [0.2, 0.9]}
  model.hidden_dim: {choice: [4, 8]}
  model.plasticity: {choice: [true, false]}
  model.memory_dim: {choice: [2, 4], when: {model.plasticity: true}}
"""


def _cost(sample, learn):
    return Cost(sample, learn, 0.0, 1.0, 100.0, 50.0, 1000, 300)


def test_corners_vary_one_costly_setting_each():
    """Decay costs nothing; the fixed value is timed beside the extremes where it is another."""
    points = [(name, point.get(name)) for name, point in corner_settings(parse_spec(SPACE))]

    assert points == [
        ("", None),
        ("model.hidden_dim", 256),
        ("model.hidden_dim", 4),
        ("model.hidden_dim", 8),
        ("model.plasticity", True),
        ("model.plasticity", False),
        ("model.memory_dim", 16),
        ("model.memory_dim", 2),
        ("model.memory_dim", 4),
    ]


def test_a_corner_that_cannot_be_trained_is_left_out():
    """Beside a fixed minibatch of 1,500, a batch of 1,400 is no experiment; 6,000 is."""
    spec = parse_spec(
        "name: a\nspace:\n  ppo.minibatch_size: {choice: [300, 600]}\n"
        "  ppo.train_batch_size: {choice: [1400, 6000]}\n"
    )

    names = [(name, point.get(name)) for name, point in corner_settings(spec)]

    assert ("ppo.train_batch_size", 6000) in names
    assert ("ppo.train_batch_size", 1400) not in names


@pytest.fixture
def model():
    """An iteration of 1 s + 2 s at the fixed width 256, 1 s + 1 s at 128 and 1 s + 8 s at 512."""
    base = parse_spec(SPACE).experiment.flat()
    name = "model.hidden_dim"
    corners = [
        Corner("", {}, _cost(1.0, 2.0)),
        *(Corner(name, {name: w}, _cost(1.0, s)) for w, s in ((256, 2.0), (128, 1.0), (512, 8.0))),
    ]
    return CostModel(corners, base, far=True)


def test_a_timed_point_is_predicted_as_it_was(model):
    """Interpolation goes through the corners."""
    assert model.predict({}).seconds == pytest.approx(3.0)
    assert model.predict({"model.hidden_dim": 512}).seconds == pytest.approx(9.0)


def test_between_corners_the_time_follows_a_power(model):
    """From 256 to 512 learning goes from 2 to 8 s, as the square: at 384 it takes 4.5 s."""
    assert model.predict({"model.hidden_dim": 384}).learn_seconds == pytest.approx(4.5)


def test_runners_share_the_sampling(model):
    """Four env runners sample in a quarter of the time, if the engine has any."""
    near = CostModel(model.corners, parse_spec(SPACE).experiment.flat(), far=False)

    assert model.predict({"ppo.num_env_runners": 4}).sample_seconds == 0.25
    assert near.predict({"ppo.num_env_runners": 4}).sample_seconds == 1.0


@pytest.mark.slow
def test_corners_are_timed_in_processes_of_their_own():
    """A real measurement: every corner has a time, a size and the agent steps of a batch."""
    spec = parse_spec(SPACE.partition("  model.plasticity")[0].replace("[4, 8]", "[4, 256]"))

    corners = time_corners(spec, side_by_side=2)

    assert [corner.name for corner in corners] == ["", "model.hidden_dim", "model.hidden_dim"]
    assert corners[0].cost is corners[1].cost
    for corner in corners:
        assert corner.cost.seconds > 0
        assert corner.cost.agent_steps == 750.0  # one world of 30 agents for 25 steps
        assert corner.cost.checkpoint_bytes > corner.cost.weights_bytes > 0
        assert corner.cost.waiting >= 1.0
