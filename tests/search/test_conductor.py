"""What the engines ask: what is next, and does this trial go on?"""

from __future__ import annotations

import pytest

from biomarl_tune.scalars import SCALARS
from biomarl_tune.search.conductor import Conductor


class Listener:
    """Keeps what an observer is told."""

    def __init__(self):
        self.told = []

    def started(self, number, settings, iteration):
        """Keep it."""
        self.told.append(("started", number, dict(settings), iteration))

    def reported(self, number, report):
        """Keep it."""
        self.told.append(("reported", number, report["iteration"]))

    def ended(self, number, state, reason):
        """Keep it."""
        self.told.append(("ended", number, state, reason))


def report(iteration, value, **more):
    """Return what a trial reports."""
    scalars = dict.fromkeys(SCALARS, 1.0) | {"episode_return_mean": value}
    times = {"seconds": float(iteration), "cpu_seconds": 0.5 * iteration, "checkpoint": ""}
    return {**scalars, **times, "iteration": iteration, **more}


@pytest.fixture
def listener():
    """An observer."""
    return Listener()


@pytest.fixture
def conductor(study, listener):
    """Of a new search: six trials of up to four iterations, rungs at 1 and 2, the better half."""
    return Conductor(study, (listener,))


def test_a_task_says_all_that_an_engine_needs(conductor, study):
    """Settings, number, absolute folder, length, and where checkpoints are due."""
    task = conductor.next_task()

    assert task.number == 0
    assert task.config["experiment"]["env"]["pheromone_decay"] == 0.95
    assert task.config["trial"] == {
        "number": 0,
        "directory": str(study.directory.trial(0).absolute()),
        "max_iterations": 4,
        "checkpoint_iterations": [1, 2],
    }


def test_a_trial_is_complete_after_its_last_iteration(conductor, study, listener):
    """Each report is recorded before observers hear of it, and the end after them."""
    conductor.next_task()

    went_on = [conductor.take(0, report(iteration, 5.0)) for iteration in (1, 2, 3, 4)]

    assert went_on == [True, True, True, False]
    assert study.trials()[0].state == "COMPLETE"
    assert [event[0] for event in listener.told] == ["started", *["reported"] * 4, "ended"]
    assert listener.told[-1] == ("ended", 0, "COMPLETE", "all iterations done")


def test_a_poor_trial_is_pruned_with_its_iteration(conductor, study):
    """Half of two go on past the first rung."""
    conductor.next_task()
    conductor.next_task()

    assert conductor.take(0, report(1, 5.0))
    assert not conductor.take(1, report(1, 4.0))

    trial = study.trials()[1]
    assert (trial.state, trial.iteration) == ("PRUNED", 1)
    assert trial.stopped_because.startswith("asha: 4 at iteration 1 is 2 of 2")


def test_a_non_finite_report_fails_the_trial_at_once(conductor, study, listener):
    """It is never the best."""
    conductor.next_task()

    assert not conductor.take(0, report(1, float("nan")))

    assert study.trials()[0].state == "FAILED"
    assert listener.told[-1][:3] == ("ended", 0, "FAILED")
    assert study.reports() == []


def test_a_failure_is_recorded_with_its_traceback(conductor, study):
    """In the record, and whole in the trial's folder."""
    conductor.next_task()

    goes_on = conductor.take(0, {"failure": "ValueError: x", "traceback": "line 1\nValueError: x"})

    assert not goes_on
    assert study.trials()[0].stopped_because == "ValueError: x"
    assert (study.directory.trial(0) / "error.txt").read_text() == "line 1\nValueError: x"


def test_three_failures_alike_at_the_start_end_the_search(conductor):
    """Nothing is proposed any more, and the reason is kept."""
    for number in range(3):
        conductor.next_task()
        assert conductor.hopeless == ""
        conductor.take(number, {"failure": "ValueError: x"})

    assert conductor.hopeless == "ValueError: x"
    assert conductor.next_task() is None
    assert not conductor.work_left


def test_different_failures_do_not_end_the_search(conductor):
    """The space may hold bad corners."""
    for number in range(3):
        conductor.next_task()
        conductor.take(number, {"failure": f"ValueError: {number}"})

    assert conductor.hopeless == ""
    assert conductor.next_task().number == 3


def test_the_report_of_a_checkpoint_takes_the_record_back_to_it(conductor, study):
    """What came after the checkpoint is done again, and is not counted twice."""
    conductor.next_task()
    for iteration in (1, 2, 3):
        conductor.take(0, report(iteration, 5.0))

    assert conductor.take(0, report(2, 5.0, again=True))
    assert conductor.take(0, report(3, 6.0))

    found = [(r.iteration, r.scalars["episode_return_mean"]) for r in study.reports()]
    assert found == [(1, 5.0), (2, 5.0), (3, 6.0)]


def test_an_interrupted_search_keeps_its_trials_for_later(conductor, study):
    """They end at their next checkpoint, stay unfinished, and a file asks for it."""
    conductor.next_task()

    conductor.interrupt()

    assert conductor.take(0, report(1, 5.0))  # it was on its way before the file was there
    assert not conductor.take(0, report(2, 5.0, saved=True))
    assert conductor.next_task() is None
    assert study.directory.interrupt.exists()
    assert study.trials()[0].state == "RUNNING"


def test_a_trial_that_does_not_run_is_not_heard(conductor, study):
    """A late word of a process that was given up changes nothing."""
    conductor.next_task()
    conductor.take(0, {"failure": "ValueError: x"})

    assert not conductor.take(0, report(1, 5.0))
    conductor.fail(0, "other", "")

    assert study.trials()[0].stopped_because == "ValueError: x"


def test_a_spent_budget_ends_trials_and_search(conductor, study, monkeypatch):
    """The minutes of earlier starts count."""
    budget = study.spec.budget.model_copy(update={"minutes": 1.0})
    study.spec = study.spec.model_copy(update={"budget": budget})
    conductor.next_task()
    assert conductor.take(0, report(1, 5.0))

    study.seconds_spent = 61.0
    late = Conductor(study, ())
    late._running = {0}

    assert late.out_of_time
    assert late.next_task() is None
    assert not late.take(0, report(2, 5.0))
    assert study.trials()[0].stopped_because == "budget: 1 minutes are over"
