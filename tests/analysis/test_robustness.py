"""Other worlds: how they are named, which are played, and what is made of the returns."""

from __future__ import annotations

import pandas as pd
import pytest

from biomarl_tune.analysis.evaluation import Stage
from biomarl_tune.analysis.robustness import (
    parse_axes,
    robustness_lines,
    robustness_summary,
    vary,
    worlds_of,
    worst_cases,
)
from biomarl_tune.errors import InputError
from biomarl_tune.experiment import Experiment
from biomarl_tune.ppo.checkpoint import latest_checkpoint


def test_variations_are_read():
    """Numbers, lattices and shares; the group of the world may be named; options add up."""
    axes = parse_axes(
        ["num_agents=10, 20", "grid_size=4x3x3", "drop_agents=0.3", "env.num_agents=5"]
    )

    assert axes == {"num_agents": [10, 20, 5], "grid_size": [(4, 3, 3)], "drop_agents": [0.3]}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("num_agents", "needs NAME=VALUE"),
        ("hidden_dim=4", "no setting 'hidden_dim' of the world"),
        ("num_agents=many", "num_agents must be whole numbers, got 'many'"),
        ("pheromone_decay=high", "pheromone_decay must be numbers"),
        ("drop_agents=1", "at least 0 and below 1"),
    ],
)
def test_unreadable_variations_are_refused(text, complaint):
    """The message names the option, the value and what would do."""
    with pytest.raises(InputError, match=complaint):
        parse_axes([text])


def test_own_world_is_always_among_them():
    """Every combination is played, the trained world first and not twice."""
    worlds = worlds_of({"num_agents": [30, 60], "drop_agents": [0.5]}, Experiment())

    assert worlds == [
        {"num_agents": 30, "drop_agents": 0.0},
        {"num_agents": 30, "drop_agents": 0.5},
        {"num_agents": 60, "drop_agents": 0.0},
        {"num_agents": 60, "drop_agents": 0.5},
    ]


def test_too_many_worlds_are_refused():
    """A matrix that nobody will read is not begun."""
    with pytest.raises(InputError, match="301 worlds are too many"):
        worlds_of({"num_agents": list(range(100, 400))}, Experiment())


def test_checkpoint_is_replayed_in_every_world(finished):
    """A colony of another size on another lattice, with some that stand still."""
    checkpoint = latest_checkpoint(finished / "trials" / "0" / "checkpoints")
    axes = parse_axes(["num_agents=10", "grid_size=3x2x2", "drop_agents=0.4"])

    table = vary({0: checkpoint}, axes, Stage(1, 2, 1), lambda _: None)

    assert len(table) == 2 * 8
    assert set(table["agents"]) == {5, 10, 3, 6}
    own = table[table["own"]]
    assert list(own["grid_size"].unique()) == ["2x2x2"]
    assert robustness_summary(table).loc[0, "kept"] == 1.0


def test_a_value_the_world_refuses_is_named(finished):
    """Settings are checked as everywhere else."""
    checkpoint = latest_checkpoint(finished / "trials" / "0" / "checkpoints")

    with pytest.raises(InputError, match="num_agents"):
        vary({0: checkpoint}, {"num_agents": [0]}, Stage(1, 1, 1), lambda _: None)


def test_worst_case_is_judged_by_the_agent():
    """Twice the agents with the same return keep half; the best of the worst cases comes first."""
    rows = [
        (number, seed, 0, value, 1.0, str(agents), agents, agents == 10)
        for seed in range(3)
        for number, agents, value in [(4, 10, 100), (4, 20, 100), (-1, 10, 100), (-1, 20, 150)]
    ]
    columns = ["number", "seed", "episode", "return", "deliveries", "num_agents", "agents", "own"]
    table = pd.DataFrame(rows, columns=columns)

    summary = robustness_summary(table)

    assert worst_cases(summary)[["number", "kept"]].to_numpy().tolist() == [[-1, 0.75], [4, 0.5]]
    assert robustness_lines(summary)[1].startswith("Worst case of trial 4: num_agents 20, colony")
