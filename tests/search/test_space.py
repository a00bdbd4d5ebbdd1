from __future__ import annotations

import pytest

from biomarl_tune.errors import InputError
from biomarl_tune.experiment import Experiment
from biomarl_tune.search.space import (
    Dimension,
    active,
    dimension_from,
    greatest,
    ordered,
    plain,
    suggest,
)

BASE = Experiment().flat()
SWITCHED = {
    "model.memory_dim": Dimension("choice", choices=(8, 16), when={"model.plasticity": True}),
    "model.plasticity": Dimension("choice", choices=(True, False)),
}


class Lowest:
    """Draws the lowest value of everything and keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def suggest_float(self, name, low, high, *, step, log):
        """Return the lower bound."""
        self.asked.append((name, low, high, step, log))
        return low

    suggest_int = suggest_float

    def suggest_categorical(self, name, choices):
        """Return the last choice."""
        self.asked.append((name, tuple(choices)))
        return choices[-1]


@pytest.mark.parametrize(
    ("tree", "inside", "outside"),
    [
        ({"uniform": [0.2, 0.9]}, [0.2, 0.5, 0.9], [0.19, 0.91, True, "x"]),
        ({"uniform": [0, 1], "step": 0.25}, [0, 0.25, 0.75, 1], [0.3, 1.25]),
        ({"loguniform": [0.01, 1]}, [0.01, 1], [0]),
        ({"int": [1, 9], "step": 4}, [1, 5, 9, 9.0], [2, 5.5]),
        ({"logint": [1, 8]}, [1, 8], [0, 1.5]),
        ({"choice": ["a", [4, 3, 3]]}, ["a", (4, 3, 3), [4, 3, 3]], ["b", (3, 4, 3)]),
    ],
)
def test_bounds_are_inclusive(tree, inside, outside):
    """A dimension contains its bounds, its grid and its choices, and nothing else."""
    dimension = dimension_from(tree)

    assert [value for value in inside if not dimension.contains(value)] == []
    assert [value for value in outside if dimension.contains(value)] == []


def test_lists_become_text_for_optuna():
    """A choice of lattice sizes reaches Optuna as JSON and comes back as it was."""
    space = {"env.grid_size": Dimension("choice", choices=((4, 3, 3), (6, 6, 4)))}
    draws = Lowest()

    assert suggest(draws, space, BASE) == {"env.grid_size": (6, 6, 4)}
    assert draws.asked == [("env.grid_size", ("[4, 3, 3]", "[6, 6, 4]"))]
    assert plain([4, 3, 3]) == plain((4, 3, 3)) == "[4, 3, 3]"


def test_each_kind_is_drawn_with_its_scale_and_step():
    """Bounds, step and scale arrive at the drawer unchanged."""
    space = {
        "ppo.gamma": dimension_from({"uniform": [0.5, 1], "step": 0.1}),
        "ppo.learning_rate": dimension_from({"loguniform": [0.1, 1]}),
        "ppo.num_epochs": dimension_from({"int": [2, 8], "step": 2}),
        "model.hidden_dim": dimension_from({"logint": [16, 256]}),
    }
    draws = Lowest()

    suggest(draws, space, BASE)

    assert draws.asked == [
        ("ppo.gamma", 0.5, 1.0, 0.1, False),
        ("ppo.learning_rate", 0.1, 1.0, None, True),
        ("ppo.num_epochs", 2, 8, 2, False),
        ("model.hidden_dim", 16, 256, 1, True),
    ]


def test_parents_come_before_children():
    """A setting is drawn after the ones its condition asks about, wherever it stands."""
    assert ordered(SWITCHED) == ["model.plasticity", "model.memory_dim"]


def test_conditions_in_a_circle_are_refused():
    """Two settings that wait for each other can never be drawn."""
    space = {
        "ppo.gamma": Dimension("uniform", 0, 1, when={"ppo.clip": 0.5}),
        "ppo.clip": Dimension("uniform", 0, 1, when={"ppo.gamma": 0.5}),
    }

    with pytest.raises(InputError, match="depends on itself"):
        ordered(space)


def test_a_setting_whose_condition_fails_is_not_searched():
    """With plasticity off, the memory's size is neither drawn nor kept."""
    drawn = suggest(Lowest(), SWITCHED, BASE)
    kept = active(SWITCHED, {"model.plasticity": False, "model.memory_dim": 8}, BASE)

    assert drawn == kept == {"model.plasticity": False}


def test_missing_settings_take_their_base_value():
    """A point that names nothing is the fixed and default settings."""
    assert active(SWITCHED, {}, BASE) == {"model.plasticity": True, "model.memory_dim": 16}


def test_greatest_value_counts_the_default():
    """The largest value a trial may ask for is in the space, or the default that runs too."""
    space = {"ppo.num_env_runners": Dimension("choice", choices=(1, 3))}

    assert greatest(space, BASE, "ppo.num_env_runners") == 3
    assert greatest({}, BASE, "ppo.num_env_runners") == 0
