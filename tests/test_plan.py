from __future__ import annotations

import json

import pytest

from biomarl_tune import plan as plan_module
from biomarl_tune.errors import InputError
from biomarl_tune.plan import plan_search
from biomarl_tune.plan_lines import plan_lines, print_plan
from biomarl_tune.search.spec import parse_spec
from biomarl_tune.timing import Corner, Cost

SPACE = """\
name: a
space: {env.pheromone_decay: {uniform: [0.2, 0.9]}}
search: {trials: 4, sampler: random, concurrency: 1, start_with: [{}]}
stopping: {scheduler: none, max_iterations: 10}
evaluation: {top: 2, seeds: 2, episodes_per_seed: 1}
"""


@pytest.fixture(autouse=True)
def timed(monkeypatch):
    """One second of sampling and two of learning an iteration of 30,000 agent steps."""
    cost = Cost(1.0, 2.0, 0.0, 1.0, 30_000.0, 300.0, 1_000_000, 300_000)
    monkeypatch.setattr(plan_module, "time_corners", lambda *_: [Corner("", {}, cost)])
    monkeypatch.setattr(plan_module, "available_cpus", lambda: 2)
    return cost


def test_a_search_without_rungs_is_exact(tmp_path):
    """4 trials of 10 iterations of 3 s, one at a time, and 4 replays of 30,000 agent steps."""
    plan = plan_search(parse_spec(SPACE), tmp_path, engine="local")

    assert (plan.concurrency, plan.rungs, plan.obstacles) == (1, (), ())
    assert plan.iterations.low == plan.iterations.high == 40
    assert plan.agent_steps.middle == 1_200_000
    assert plan.search_seconds.middle == pytest.approx(9.0 + 4 * 30, abs=1.0)
    assert plan.evaluation_seconds == 4.0
    assert plan.seconds.middle == plan.search_seconds.middle + 4.0


def test_rungs_make_the_estimate_a_range(tmp_path):
    """Under ASHA the iterations depend on who is good when."""
    spec = parse_spec(
        SPACE.replace("trials: 4", "trials: 30").replace("none", "asha, grace_iterations: 1")
    )

    plan = plan_search(spec, tmp_path)

    assert plan.rungs == (1, 3, 9)
    assert plan.iterations.low < plan.iterations.middle < plan.iterations.high < 300


def test_the_defaults_count_where_no_trial_runs_them(tmp_path):
    """Without an entry of start_with for them they are trained for the verdict."""
    plan = plan_search(parse_spec(SPACE.replace(", start_with: [{}]", "")), tmp_path)

    assert plan.evaluation_seconds == 4.0 + 10 * 3.0


def test_what_cannot_be_run_here_is_said(tmp_path):
    """Too many env runners for two CPUs, and a run of that name, both with a remedy."""
    (tmp_path / "a").mkdir()
    spec = parse_spec(SPACE + "experiment: {ppo: {num_env_runners: 9}}\n")

    obstacles = plan_search(spec, tmp_path).obstacles

    assert "9 env runners and the trial itself need 10 CPUs" in obstacles[0]
    assert obstacles[1].endswith("is there already; use --fresh or another --name")


def test_a_busy_machine_is_told(tmp_path, timed, monkeypatch):
    """Where an iteration waits for other programs, the plan says by how much."""
    slow = Cost(**{**vars(timed), "waiting": 2.5})
    monkeypatch.setattr(plan_module, "time_corners", lambda *_: [Corner("", {}, slow)])

    lines = plan_lines(plan_search(parse_spec(SPACE), tmp_path))

    assert any("2.5 times as long" in line for line in lines)


def test_printed_as_json_it_holds_every_number(tmp_path, capsys):
    """And an obstacle ends the command with the error of bad input, after the numbers."""
    file = tmp_path / "a.yaml"
    file.write_text(SPACE)
    (tmp_path / "b").mkdir()
    options = {"fresh": False, "engine": "local", "seed": None, "as_json": True}

    print_plan(file, tmp_path, name="", **options)
    found = json.loads(capsys.readouterr().out)

    assert (found["trials"], found["iterations"]["middle"]) == (4, 40)
    assert set(found["seconds"]) == {"middle", "low", "high"}
    with pytest.raises(InputError, match="cannot be run here"):
        print_plan(file, tmp_path, name="b", **options)
