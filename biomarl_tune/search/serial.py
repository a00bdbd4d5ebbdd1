"""The local engine: trials one after another in this process, without Ray."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from biomarl_tune.errors import TrialError
from biomarl_tune.experiment import experiment_from
from biomarl_tune.ppo.local import LocalTrainer
from biomarl_tune.ppo.seeds import SeedRuns, with_training_seed
from biomarl_tune.ppo.trial import Trial, TrialRun, failure_report
from biomarl_tune.search.conductor import Conductor, Task
from biomarl_tune.search.deadline import time_limit

Run = TrialRun | SeedRuns
Begin = Callable[[dict[str, Any]], Run]


def begin_trial(config: dict[str, Any]) -> Run:
    """Build a trial from a task's config, or take it up where its checkpoint ends."""
    trial = Trial.model_validate(config["trial"])
    experiment = experiment_from(config["experiment"])

    def begin(seed: int) -> TrialRun:
        return TrialRun(trial.of_seed(seed), LocalTrainer(with_training_seed(experiment, seed)))

    return SeedRuns(trial, begin) if trial.stages else begin(0)


def run_serially(conductor: Conductor, begin: Begin = begin_trial) -> None:
    """Run what is left of a search, one trial at a time.

    Args:
        conductor: of the search.
        begin: builds a trial from a task's config.
    """
    while (task := conductor.next_task()) is not None:
        run = begun(conductor, task, begin)
        while run is not None and stepped(conductor, task, run):
            continue


def begun(conductor: Conductor, task: Task, begin: Begin) -> Run | None:
    """Begin a trial; None if it could not be built, which the record knows by then."""
    try:
        with time_limit(conductor.study.spec.stopping.iteration_seconds):
            return begin(task.config)
    except Exception as error:  # noqa: BLE001 - whatever it is ends the trial, not the search
        conductor.take(task.number, failure_report(error))
        return None


def stepped(conductor: Conductor, task: Task, run: Run) -> bool:
    """Run one iteration, record it, and tell whether the trial goes on."""
    try:
        with time_limit(conductor.study.spec.stopping.iteration_seconds):
            report = run.step()
    except TrialError as error:  # the limit was passed just when the iteration ended
        report = failure_report(error)
    return conductor.take(task.number, report)
