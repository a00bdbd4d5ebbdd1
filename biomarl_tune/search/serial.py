"""The local engine: trials one after another in this process, without Ray."""

from __future__ import annotations

from biomarl_tune.experiment import experiment_from
from biomarl_tune.ppo.local import LocalTrainer
from biomarl_tune.ppo.trial import Trial, TrialRun, failure_report
from biomarl_tune.search.conductor import Conductor, Task


def run_serially(conductor: Conductor) -> None:
    """Run what is left of a search, one trial at a time."""
    while (task := conductor.next_task()) is not None:
        _run(conductor, task)


def _run(conductor: Conductor, task: Task) -> None:
    try:
        trainer = LocalTrainer(experiment_from(task.config["experiment"]))
        run = TrialRun(Trial.model_validate(task.config["trial"]), trainer)
    except Exception as error:  # noqa: BLE001 - whatever it is ends the trial, not the search
        conductor.take(task.number, failure_report(error))
        return
    while conductor.take(task.number, run.step()):
        continue
