"""The record as Ray Tune's judge of trials."""

from __future__ import annotations

from typing import Any

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from biomarl_tune.search.conductor import Conductor

_LOST = "its process was lost more often than is allowed"


class StudyScheduler(FIFOScheduler):
    """Pass each report to the conductor and stop the trials that do not go on."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor

    def __getstate__(self) -> dict[str, Any]:
        """Give Tune nothing to pickle, and so nothing to unpickle."""
        return {}

    def on_trial_result(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> str:
        """Record a report and tell Tune whether the trial goes on."""
        goes_on = self._conductor.take(_number(trial), result)
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """Record that Tune has given a trial up; what its process raises comes as a report."""
        file = getattr(trial, "error_file", None)
        error = "" if file is None else _text(file)
        self._conductor.fail(_number(trial), _LOST, error)


def _number(trial: Trial) -> int:
    return int(trial.config["trial"]["number"])


def _text(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as handle:  # noqa: PTH123 - Tune's str
            return handle.read()
    except OSError as error:
        return f"{file}: {error.strerror}"
