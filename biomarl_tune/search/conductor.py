"""What an engine asks while it runs trials: what is next, and does this trial go on?

Every answer is committed to the record before it is given. Both engines go through here, so they
propose, stop and fail alike.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from biomarl_tune.errors import BiomarlError, StorageError, TrialError, UnsafeError
from biomarl_tune.search.leftovers import drop_unrecorded
from biomarl_tune.search.rungs import rung_levels
from biomarl_tune.search.study import Study
from biomarl_tune.search.trial import ALL_DONE, EndState

ALIKE = 3  # so many failures at the start, all of one kind, end the search


class Observer(Protocol):
    """Is told what happens to trials, after it was recorded."""

    def started(self, number: int, settings: Mapping[str, Any], iteration: int) -> None:
        """A trial begins, or goes on after an iteration."""

    def reported(self, number: int, report: Mapping[str, Any]) -> None:
        """A trial has finished an iteration.

        With several training seeds, ``value`` is the trial's objective over those so far.
        """

    def ended(self, number: int, state: str, reason: str) -> None:
        """A trial has ended for good."""


@dataclass(frozen=True)
class Task:
    """A trial to be run."""

    number: int
    config: dict[str, Any]  # "experiment" and "trial", as the engines take them


class Conductor:
    """Lead a search on behalf of an engine.

    When the disk or the record fails, no trial is to blame: `failure` keeps the error, no trial
    goes on, and those under way stay in the record as running, for a resumed search.

    Args:
        study: the record, open for writing.
        observers: told after each change.
    """

    def __init__(self, study: Study, observers: Sequence[Observer]) -> None:
        self.study = study
        self._observers = observers
        self._begin = time.monotonic()
        self._spent = study.seconds_spent
        self.interrupted = False
        self.failure: BiomarlError | None = None
        self._running: set[int] = set()

    def next_task(self) -> Task | None:
        """Propose the next trial; None when there is none or the search is to stop."""
        with self._giving_up():
            if not (self.interrupted or self.out_of_time or self.hopeless):
                return self._propose()
        return None

    def _propose(self) -> Task | None:
        proposal = self.study.suggest()
        if proposal is None:
            return None
        number, spec = proposal.number, self.study.spec
        recorded = partial(self.study.last_iteration, number)
        drop_unrecorded(self.study.directory.trial(number), recorded)
        self._running.add(number)
        for observer in self._observers:
            observer.started(number, proposal.settings, proposal.iteration)
        trial = {
            "number": number,
            "directory": str(self.study.directory.trial(number).absolute()),
            "max_iterations": spec.stopping.max_iterations,
            "checkpoint_iterations": list(rung_levels(spec.stopping)),
        }
        if self.study.stages:
            trial["stages"] = [(stage.level, stage.seeds) for stage in self.study.stages]
            trial["lost_seeds"] = list(proposal.lost_seeds)
        experiment = proposal.experiment.model_dump()
        return Task(number, {"experiment": experiment, "trial": trial})

    def take(self, number: int, report: Mapping[str, Any]) -> bool:
        """Record a report and tell whether the trial goes on.

        Args:
            number: of the trial.
            report: the scalars with ``iteration``, ``seconds``, ``cpu_seconds`` and
                ``checkpoint``, ``saved`` when that is of this iteration, ``seed`` where a trial
                has several, and ``again`` when it is that of the checkpoint from which a trial
                goes on; or ``failure`` (one line) and ``traceback`` of a trial that cannot go
                on; or ``storage`` (one line) where its disk failed.
        """
        with self._giving_up():
            if number in self._running:
                return self._take(number, report)
        return False

    def _take(self, number: int, report: Mapping[str, Any]) -> bool:
        if "storage" in report:
            raise StorageError(report["storage"])
        seed = int(report.get("seed", 0))
        if "failure" in report:
            if self.study.lose_seed(number, seed, str(report["failure"])):
                return self._goes_on(number) and not self.interrupted
            self._fail(number, str(report["failure"]), str(report.get("traceback", "")))
            return False
        if report.get("again") and report["iteration"] <= self.study.last_iteration(number, seed):
            self.study.rewind(number, int(report["iteration"]), seed=seed)
            return not self.interrupted
        try:
            self.study.report(number, seed=seed, **_columns(report))
        except TrialError as error:
            self._tell_ended(number, "FAILED", str(error))
            return False
        told = {**report, "value": self.study.value(number)} if self.study.stages else report
        for observer in self._observers:
            observer.reported(number, told)
        # one that has not seen the interruption yet writes its checkpoint after the next iteration
        return self._goes_on(number) and not (
            self.failure or (self.interrupted and report.get("saved"))
        )

    def _goes_on(self, number: int) -> bool:
        spec = self.study.spec
        if self.study.decides(number):
            if self.study.iteration(number) >= spec.stopping.max_iterations:
                self.end(number, "COMPLETE", ALL_DONE)
                return False
            decision = self.study.decide(number)
            if decision.action == "stop":
                self.end(number, "PRUNED", decision.reason)
                return False
        if self.out_of_time:
            self.end(number, "PRUNED", f"budget: {spec.budget.minutes:g} minutes are over")
            return False
        return True

    def fail(self, number: int, reason: str, error: str) -> None:
        """Record that a trial cannot go on."""
        with self._giving_up():
            if number in self._running:
                self._fail(number, reason, error)

    def _fail(self, number: int, reason: str, error: str) -> None:
        folder = self.study.directory.trial(number)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "error.txt").write_text(error or reason, encoding="utf-8")
        self.end(number, "FAILED", reason, error or reason)

    def end(self, number: int, state: EndState, reason: str, error: str = "") -> None:
        """Record a trial's end."""
        self.study.finish(number, state, reason, error)
        self.study.seconds_spent = self._elapsed
        self._tell_ended(number, state, reason)

    def _tell_ended(self, number: int, state: EndState, reason: str) -> None:
        self._running.discard(number)
        for observer in self._observers:
            observer.ended(number, state, reason)

    def interrupt(self) -> None:
        """Ask for a stop: no new trial, and those under way end at their next checkpoint.

        They write it after the iteration under way, because of the file; the record keeps them as
        running, so that a resumed search goes on with them.
        """
        self.interrupted = True
        with contextlib.suppress(OSError):  # then their newest checkpoint has to do
            self.study.directory.interrupt.touch()

    @contextlib.contextmanager
    def _giving_up(self) -> Iterator[None]:
        """Stop the search when the disk or the record fails, without a word to the engine."""
        try:
            yield
        except (StorageError, UnsafeError) as error:
            self.failure = self.failure or error
        except OSError as error:
            path = error.filename or self.study.directory.path
            msg = f"{path}: cannot be written ({error.strerror}); mend the disk, then resume"
            self.failure = self.failure or StorageError(msg)
        if self.failure is not None:
            self.interrupt()

    @property
    def work_left(self) -> bool:
        """Whether a trial is to be begun or continued."""
        ended = sum(trial.finished for trial in self.study.trials())
        return ended < self.study.spec.search.trials and not (self.out_of_time or self.hopeless)

    @property
    def out_of_time(self) -> bool:
        """Whether the budget's minutes are over, those of earlier starts included."""
        minutes = self.study.spec.budget.minutes
        return minutes is not None and self._elapsed > 60.0 * minutes

    @property
    def _elapsed(self) -> float:
        return self._spent + time.monotonic() - self._begin

    @property
    def hopeless(self) -> str:
        """The reason that the first trials to end have all failed with; empty otherwise."""
        ended = [trial for trial in self.study.trials() if trial.finished]
        reasons = {trial.stopped_because for trial in ended[:ALIKE]}
        failed = all(trial.state == "FAILED" for trial in ended)
        if len(ended) < ALIKE or not failed or len(reasons) != 1:
            return ""
        return reasons.pop()


def _columns(report: Mapping[str, Any]) -> dict[str, Any]:
    """Split a report into the record's arguments."""
    apart = ("iteration", "seconds", "cpu_seconds", "checkpoint")
    return {"scalars": report, **{name: report[name] for name in apart}}
