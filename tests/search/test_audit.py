"""Trials that ASHA condemns and that run on nevertheless, as the record has them."""

from __future__ import annotations

import pytest

from biomarl_tune.analysis.trials import load_trials
from biomarl_tune.errors import InputError
from biomarl_tune.search.conductor import Conductor
from biomarl_tune.search.rungs import as_judged, runs_on
from biomarl_tune.search.sections import Stopping
from biomarl_tune.search.spec import parse_spec
from biomarl_tune.search.study import Study

SEARCH_SPACE = """\
name: audited
space: {env.pheromone_decay: {uniform: [0.2, 0.9]}}
search: {sampler: random, trials: 6}
stopping: {scheduler: asha, max_iterations: 4, grace_iterations: 1, reduction: 2, audit: SHARE}
"""
# by trial: the value is the same at every iteration
VALUES = (5.0, 1.0, 4.0, 6.0, 2.0, 7.0)


def _study(root, share):
    text = SEARCH_SPACE.replace("SHARE", str(share))
    return Study.create(root, parse_spec(text), text)


def _report(number, iteration):
    zeros = {"seconds": float(iteration), "cpu_seconds": float(iteration), "checkpoint": ""}
    return {"iteration": iteration, "episode_return_mean": VALUES[number], **zeros}


def _run(study, trials=6):
    conductor = Conductor(study, ())
    for _ in range(trials):
        number = conductor.next_task().number
        iteration = study.last_iteration(number) + 1
        while conductor.take(number, _report(number, iteration)):
            iteration += 1


def test_all_condemned_trials_run_on_with_a_share_of_one(tmp_path):
    """Trials 1, 2 and 4 are condemned at the first rung, and reach the end all the same."""
    with _study(tmp_path, 1.0) as study:
        _run(study)
        trials = study.trials()

    assert [trial.audited for trial in trials] == [0, 1, 1, 0, 1, 0]
    assert {trial.state for trial in trials} == {"COMPLETE"}
    assert trials[1].stopped_because == (
        "all iterations done; ran on for the audit, "
        "condemned by asha: 1 at iteration 1 is 2 of 2, the best goes on"
    )


def test_the_audit_changes_no_other_decision(tmp_path):
    """Whoever is stopped without an audit is condemned with one, at the same rung."""
    with _study(tmp_path / "a", 0.0) as plain, _study(tmp_path / "b", 1.0) as audited:
        _run(plain)
        _run(audited)
        stopped = [t.iteration if t.state == "PRUNED" else 0 for t in plain.trials()]

        assert stopped == [trial.audited for trial in audited.trials()]


def test_the_table_tells_audited_trials_apart(tmp_path):
    """Column `audited` is the iteration of the rung, 0 for the others."""
    with _study(tmp_path, 1.0) as study:
        _run(study)

    assert load_trials(tmp_path / "audited")["audited"].tolist() == [0, 1, 1, 0, 1, 0]


def test_a_resumed_search_knows_who_was_condemned(tmp_path):
    """A trial that was interrupted after it was condemned goes on, and is not judged again."""
    with _study(tmp_path, 1.0) as study:
        _run(study, trials=1)
        conductor = Conductor(study, ())
        assert conductor.take(conductor.next_task().number, _report(1, 1))

    with Study.open(tmp_path / "audited") as study:
        (left,) = study.resume()
        assert (left.number, left.audited) == (1, 1)
        _run(study, trials=5)

        assert [trial.audited for trial in study.trials()] == [0, 1, 1, 0, 1, 0]


def test_the_sample_is_drawn_by_seed_and_number():
    """About a tenth of 2,000 trials, the same ones each time, others under another seed."""
    stopping = Stopping(audit=0.1)

    drawn = [number for number in range(2000) if runs_on(stopping, 3, number)]

    assert 150 < len(drawn) < 250
    assert drawn == [number for number in range(2000) if runs_on(stopping, 3, number)]
    assert drawn != [number for number in range(2000) if runs_on(stopping, 4, number)]


def test_what_a_condemned_trial_does_later_is_not_seen():
    """Its value counts at the rung where it was condemned, and at none after it."""
    curves = {0: {1: 5.0, 2: 6.0}, 1: {1: 4.0, 2: 9.0}}

    assert as_judged(curves, {1: 1}) == {0: {1: 5.0, 2: 6.0}, 1: {1: 4.0}}
    assert as_judged(curves, {}) is curves


def test_only_asha_can_be_audited():
    """The median rule and none have no rungs to check."""
    text = SEARCH_SPACE.replace("SHARE", "0.1").replace("asha", "median")

    with pytest.raises(InputError, match=r"stopping.audit: checks the rungs of asha"):
        parse_spec(text)
