"""The local engine: one trial after another."""

from __future__ import annotations

import pytest

from biomarl_tune.errors import TrialError
from biomarl_tune.scalars import SCALARS
from biomarl_tune.search.conductor import Conductor
from biomarl_tune.search.serial import run_serially


class CountingRun:
    """A trial whose return is its number; trial 1 breaks in its second iteration."""

    def __init__(self, config):
        self.number = config["trial"]["number"]
        self.iteration = 0

    def step(self):
        """Report, or break."""
        self.iteration += 1
        if (self.number, self.iteration) == (1, 2):
            return {"failure": "TrialError: broken", "traceback": "..."}
        scalars = dict.fromkeys(SCALARS, float(self.number))
        times = {"seconds": 1.0, "cpu_seconds": 1.0, "checkpoint": "", "saved": True}
        return {**scalars, **times, "iteration": self.iteration}


def test_every_trial_is_run_to_its_end(study):
    """Ever better ones pass all rungs; a broken one fails and the next begins."""
    run_serially(Conductor(study, ()), CountingRun)

    states = [trial.state for trial in study.trials()]
    assert states == ["COMPLETE", "FAILED", *["COMPLETE"] * 4]
    assert [trial.iteration for trial in study.trials()] == [4, 1, 4, 4, 4, 4]


def test_a_trial_that_cannot_be_built_fails(study):
    """With the reason; three alike end the search."""

    def refuse(_config):
        msg = "no such world"
        raise TrialError(msg)

    run_serially(Conductor(study, ()), refuse)

    assert [trial.stopped_because for trial in study.trials()] == ["TrialError: no such world"] * 3


@pytest.mark.parametrize("iteration", [1, 3])
def test_an_interruption_ends_it_after_the_report(study, iteration):
    """The trial under way stays unfinished."""
    conductor = Conductor(study, ())

    class Interrupting(CountingRun):
        def step(self):
            report = super().step()
            if report["iteration"] == iteration:
                conductor.interrupt()
            return report

    run_serially(conductor, Interrupting)

    (trial,) = study.trials()
    assert (trial.state, trial.iteration) == ("RUNNING", iteration)
