from __future__ import annotations

import pandas as pd
import pytest

from biomarl_tune.analysis.pareto import front_lines, on_front
from biomarl_tune.analysis.remarks import remarks
from biomarl_tune.analysis.trials import load_trials
from biomarl_tune.search.conductor import Conductor
from biomarl_tune.search.sections import Objective
from biomarl_tune.search.serial import run_serially
from biomarl_tune.search.spec import parse_spec
from biomarl_tune.search.study import Study

RETURN_AND_COST = (
    Objective(metric="episode_return_mean", mode="max"),
    Objective(metric="cpu_seconds", mode="min"),
)
SEARCH_SPACE = """\
name: two
experiment:
  env: {num_agents: 2, max_episode_steps: 20, grid_size: [2, 1, 1]}
  ppo: {train_batch_size: 400, minibatch_size: 200, rollout_steps: 10, num_epochs: 1}
space:
  env.pheromone_decay: {uniform: [0.2, 0.9]}
  model.hidden_dim: {choice: [4, 8]}
objective: [{metric: episode_return_mean, mode: max}, {metric: cpu_seconds, mode: min}]
search: {sampler: tpe, trials: 8, start_with: [{}]}
stopping: {scheduler: asha, max_iterations: 4, grace_iterations: 1, reduction: 2}
"""


def _trials(*pairs, state="COMPLETE"):
    table = pd.DataFrame(pairs, columns=["value", "value_2"], dtype=float)
    return table.assign(number=range(len(table)), state=state)


@pytest.mark.parametrize(
    ("pairs", "front"),
    [
        ([(1, 1)], [True]),
        ([(3, 9), (2, 5), (1, 7), (1, 2)], [True, True, False, True]),
        ([(3, 5), (3, 5), (2, 5)], [True, True, False]),
        ([(3, 5), (3, 6), (2, 5)], [True, False, False]),
        ([(float("nan"), 1), (1, 2)], [False, True]),
    ],
)
def test_the_front_holds_what_nothing_beats(pairs, front):
    """More return for more seconds is a trade; less for as many, or for more, is none."""
    assert on_front(_trials(*pairs), RETURN_AND_COST).tolist() == front


def test_the_modes_are_followed():
    """With both to be made small, the small ones are on the front."""
    smaller = tuple(Objective(metric=part.metric, mode="min") for part in RETURN_AND_COST)

    assert on_front(_trials((1, 5), (2, 1), (3, 3)), smaller).tolist() == [True, True, False]


def test_stopped_trials_do_not_compete():
    """A trial that was stopped is cheap for that reason only."""
    trials = _trials((5, 10), (1, 1))
    trials["state"] = ["COMPLETE", "PRUNED"]

    assert on_front(trials, RETURN_AND_COST).tolist() == [True, False]


def test_the_front_is_told_in_words():
    """The best of the first objective comes first, each trial with its settings."""
    trials = _trials((1, 2), (3, 9)).assign(pareto=True)
    trials["params.model.hidden_dim"] = [8, 64]

    first, *rest = front_lines(trials, RETURN_AND_COST)

    assert first.startswith("Pareto front of episode_return_mean (max) against cpu_seconds (min)")
    assert rest == [
        "  trial 1: 3 against 9 (hidden_dim = 64)",
        "  trial 0: 1 against 2 (hidden_dim = 8)",
    ]
    assert front_lines(trials, RETURN_AND_COST[:1]) == []


def test_a_search_with_two_objectives_ends_in_a_front(tmp_path):
    """Real trials of the local engine: stopping follows the first, the front is in the table."""
    with Study.create(tmp_path, parse_spec(SEARCH_SPACE), SEARCH_SPACE) as study:
        run_serially(Conductor(study, ()))
        said = remarks(study)
    trials = load_trials(tmp_path / "two")

    complete, front = trials[trials["state"] == "COMPLETE"], trials[trials["pareto"]]
    assert 1 <= len(complete) < len(trials)
    assert set(front["number"]) <= set(complete["number"])
    assert front["value"].max() == complete["value"].max()
    assert front["value_2"].min() == complete["value_2"].min()
    assert said[0].startswith("Pareto front of episode_return_mean (max) against cpu_seconds")
    assert len(said) == 1 + len(front)


def test_value_is_given_for_experience_and_for_cost(tmp_path):
    """Ten of return after 2 million agent steps and 4 CPU seconds are 5 and 2.5."""
    with Study.create(tmp_path, parse_spec(SEARCH_SPACE), SEARCH_SPACE) as study:
        study.suggest()
        scalars = {"episode_return_mean": 10.0, "agent_steps": 2e6}
        study.report(0, 1, scalars, seconds=1.0, cpu_seconds=4.0)
    (row,) = load_trials(tmp_path / "two").to_dict("records")

    assert row["value_per_million_agent_steps"] == 5.0
    assert row["value_per_cpu_second"] == 2.5
