"""The record as Ray Tune's judge of trials."""

from __future__ import annotations

import time
from typing import Any

import ray
from ray._private import worker
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from biomarl_tune.search.conductor import Conductor
from biomarl_tune.search.deadline import too_long

_LOST = "its process was lost more often than is allowed"
_NO_MEMORY = "out of memory: its process was killed more often than is allowed"
_MEMORY_SIGNS = ("OutOfMemory", "low on memory", "memory pressure")


class EngineLost(BaseException):
    """Ray's own processes have died; Tune would wait for them, so it must not catch this."""


class StudyScheduler(FIFOScheduler):
    """Pass each report to the conductor and stop the trials that do not go on."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor
        self._limit = conductor.study.spec.stopping.iteration_seconds
        self._since: dict[str, float] = {}  # when a running trial began its iteration, by Tune's id

    def __getstate__(self) -> dict[str, Any]:
        """Give Tune nothing to pickle, and so nothing to unpickle."""
        return {}

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """Let Tune go on, which asks this several times a second; end what hangs before.

        Raises:
            EngineLost: there is no Ray any more.
        """
        if engine_lost():
            raise EngineLost
        for trial in list(tune_controller.get_live_trials()):
            if trial.status == Trial.RUNNING:
                self._end_if_it_hangs(trial)
            elif trial.status == Trial.PENDING and self._conductor.interrupted:
                tune_controller.stop_trial(trial)
        return super().choose_trial_to_run(tune_controller)

    def on_trial_result(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> str:
        """Record a report and tell Tune whether the trial goes on."""
        self._since.pop(trial.trial_id, None)
        goes_on = self._conductor.take(_number(trial), result)
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """Record that Tune has given a trial up; what its process raises comes as a report."""
        self._since.pop(trial.trial_id, None)
        if trial.status == Trial.ERROR:  # it is about to be started again
            return
        file = getattr(trial, "error_file", None)
        error = "" if file is None else _text(file)
        self._conductor.fail(_number(trial), _reason(error), error)

    def _end_if_it_hangs(self, trial: Trial) -> None:
        now = time.monotonic()
        since = self._since.setdefault(trial.trial_id, now)
        actor = trial.temporary_state.ray_actor
        if now - since <= self._limit or actor is None:
            return
        self._since[trial.trial_id] = now  # once is enough
        self._conductor.fail(_number(trial), too_long(self._limit), "")
        trial.max_failures = 0
        ray.kill(actor)


def engine_lost() -> bool:
    """Tell whether a process of the Ray that was started here has died."""
    node = worker._global_node  # noqa: SLF001 - Ray tells nobody else
    return node is not None and not node.remaining_processes_alive()


def _number(trial: Trial) -> int:
    return int(trial.config["trial"]["number"])


def _reason(error: str) -> str:
    """Return why Tune gave a trial up, in words, from what Tune has written down."""
    if any(sign in error for sign in _MEMORY_SIGNS):
        return _NO_MEMORY
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    if "creation task" in error and lines:
        return f"its process could not start: {lines[-1]}"
    return _LOST


def _text(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as handle:  # noqa: PTH123 - Tune's str
            return handle.read()
    except OSError as error:
        return f"{file}: {error.strerror}"
