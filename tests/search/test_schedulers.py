"""The record as Tune's judge of trials."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from biomarl_tune.scalars import SCALARS
from biomarl_tune.search.conductor import Conductor
from biomarl_tune.search.schedulers import StudyScheduler


@pytest.fixture
def conductor(study):
    """Of a search whose first two trials run."""
    conductor = Conductor(study, ())
    conductor.next_task()
    conductor.next_task()
    return conductor


def tune_trial(number, **more):
    """Return what the scheduler looks at in a Tune trial."""
    return SimpleNamespace(
        trial_id=f"id{number}", config={"trial": {"number": number}}, status=Trial.RUNNING, **more
    )


def result(value, **more):
    """Return the result of a first iteration."""
    scalars = dict.fromkeys(SCALARS, value)
    times = {"seconds": 1.0, "cpu_seconds": 1.0, "checkpoint": ""}
    return {**scalars, **times, "iteration": 1, "trial_id": "tune's own", **more}


def test_tune_hears_the_conductors_decision(conductor, study):
    """Of two trials at the first rung the better half goes on."""
    scheduler = StudyScheduler(conductor)

    first = scheduler.on_trial_result(None, tune_trial(0), result(5.0))
    second = scheduler.on_trial_result(None, tune_trial(1), result(4.0))

    assert (first, second) == (TrialScheduler.CONTINUE, TrialScheduler.STOP)
    assert [trial.state for trial in study.trials()] == ["RUNNING", "PRUNED"]


def test_a_trial_that_tune_gives_up_has_failed(conductor, study, tmp_path):
    """What Tune has written down becomes its error."""
    file = tmp_path / "error.txt"
    file.write_text("Traceback\nthe node was lost")

    StudyScheduler(conductor).on_trial_error(None, tune_trial(0, error_file=str(file)))

    trial = study.trials()[0]
    assert (trial.state, trial.error) == ("FAILED", "Traceback\nthe node was lost")
    assert trial.stopped_because == "its process was lost more often than is allowed"


def test_there_is_nothing_to_pickle(conductor):
    """Tune's snapshots of it hold no state."""
    assert StudyScheduler(conductor).__getstate__() == {}
