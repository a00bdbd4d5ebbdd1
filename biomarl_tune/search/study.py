"""The record of a search: what was proposed, reported and decided, committed before anyone acts."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Self

from biomarl_tune.errors import InputError, StorageError, TrialError, UnsafeError
from biomarl_tune.scalars import SCALARS
from biomarl_tune.search import rungs
from biomarl_tune.search.directory import RunDirectory, acquire, build, manifest_sha256
from biomarl_tune.search.identity import ATTRIBUTE, check_unchanged, identity_from, identity_of
from biomarl_tune.search.leftovers import drop_half_written
from biomarl_tune.search.progress import Progress
from biomarl_tune.search.proposals import Proposals, distribution
from biomarl_tune.search.racing import stages, survives
from biomarl_tune.search.record import Record
from biomarl_tune.search.spec import SearchSpec
from biomarl_tune.search.trial import ALL_DONE, EndState, Proposal, Report, State, Trial

ERROR_LENGTH = 4000
SECONDS = "seconds_spent"

_log = logging.getLogger(__name__)


class Study:
    """The record of one search. One process writes; any number may read.

    What is asked of it is answered from memory; what is told is committed to the database first.

    Example:
        >>> with Study.create(Path("results"), spec, text) as study:  # doctest: +SKIP
        ...     proposal = study.suggest()
        ...     study.report(proposal.number, 1, {"episode_return_mean": 3.0}, seconds=1.0)
        ...     study.finish(proposal.number, "COMPLETE", "max_iterations")
    """

    def __init__(self, directory: RunDirectory, record: Record, lock: IO[str] | None) -> None:
        self.directory = directory
        self._record = record
        self._lock = lock
        self.identity = identity_from(record.attributes, directory)
        self.spec = self.identity.spec()
        self.stages = stages(self.spec.stopping, self.spec.search.seeds_per_trial)
        self._proposals = Proposals(self.spec)
        self._progress = self._read()
        self._seconds_spent = float(record.attributes.get(SECONDS, 0.0))

    @classmethod
    def create(cls, root: Path, spec: SearchSpec, spec_text: str) -> Self:
        """Create the run directory of a spec, complete or not at all, and open its study.

        Args:
            root: the results folder.
            spec: checked; its name is the directory's.
            spec_text: the YAML it was read from.

        Raises:
            RunExistsError: there is a run of that name.
            InputError: the results folder cannot be written.
            StorageError: the disk failed.
        """

        def fill(path: Path) -> None:
            new = RunDirectory(path)
            new.spec.write_text(spec_text, encoding="utf-8")
            new.experiment.write_text(spec.experiment.model_dump_json(indent=2), encoding="utf-8")
            modes = [objective.mode for objective in spec.objective]
            attributes = {ATTRIBUTE: identity_of(spec, spec_text)}
            Record.create(new.database, spec.name, modes, attributes)

        return cls.open(build(root, spec.name, fill).path)

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """Open the study of a run directory, wherever that lies now.

        Args:
            path: the run directory.
            read_only: take no lock and change nothing; another process may be writing.

        Raises:
            InputError: no run directory.
            UnsafeError: locked by a living process, damaged, of a newer schema, or spec.yaml
                was changed.
            StorageError: the record cannot be read.
        """
        directory = RunDirectory(path)
        if not directory.database.is_file():
            msg = f"{path}: is no run directory, it has no study.db; give one such as results/name"
            raise (UnsafeError if directory.spec.is_file() else InputError)(msg)
        with contextlib.ExitStack() as undo:
            lock = None if read_only else undo.enter_context(acquire(directory))
            record = Record.open(directory.database, read_only=read_only)
            undo.callback(record.close)
            study = cls(directory, record, lock)
            if not read_only:
                check_unchanged(study.identity, directory)
            undo.pop_all()
            return study

    def close(self) -> None:
        """Let what still runs wait for a later process, and let go of the directory."""
        try:
            if self._lock and not self._lock.closed:
                self._let_wait()
        except StorageError as error:  # `resume` lets them wait as well
            _log.warning("trials under way are left as running: %s", error)
        finally:
            self._record.close()
            if self._lock:
                self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def resume(self) -> list[Trial]:
        """Take over what a process left behind and return the trials that go on.

        A trial whose last report ended it, but whose end was not recorded, ends now, by the rule
        as it stood at that report. The others wait; `suggest` gives them first.
        """
        drop_half_written(self.directory.path)
        reports = self.reports()
        for trial in self.trials():
            if trial.finished or trial.last is None or not self.decides(trial.number):
                continue
            if trial.iteration >= self.spec.stopping.max_iterations:
                self.finish(trial.number, "COMPLETE", ALL_DONE)
                continue
            earlier = [report for report in reports if report.sequence <= trial.last.sequence]
            decision = self._judge(self._progress_of(earlier), trial)
            if decision.action == "stop":
                self.finish(trial.number, "PRUNED", decision.reason)
        self._let_wait()
        return [trial for trial in self.trials() if not trial.finished]

    def suggest(self) -> Proposal | None:
        """Return the next trial to run: an interrupted one, else a new one; None at the end.

        It is recorded as running before this returns.
        """
        trial = self._progress.waiting()
        number = len(self._progress.trials)
        if trial:
            self._set_state(trial, "RUNNING")
        elif number < self.spec.search.trials:
            trial = self._new_trial(number)
        else:
            return None
        experiment = self.spec.experiment.with_settings(trial.settings)
        lost = tuple(trial.lost_seeds)
        return Proposal(
            trial.number, trial.settings, experiment, trial.start, trial.iteration, lost
        )

    def report(  # noqa: PLR0913 - these are the columns of a report
        self,
        number: int,
        iteration: int,
        scalars: Mapping[str, Any],
        *,
        seconds: float,
        cpu_seconds: float = 0.0,
        checkpoint: str = "",
        seed: int = 0,
    ) -> Report:
        """Record what a running trial reported; a redone iteration replaces it and later ones.

        Args:
            number: of the trial.
            iteration: from 1, at most one above the last recorded.
            scalars: by the names of scalars.py; others are left out.
            seconds: wall time of the trial so far.
            cpu_seconds: processor time of the trial so far.
            checkpoint: newest one, relative to the trial's directory.
            seed: index of the training seed.

        Raises:
            TrialError: an objective is missing or not finite, and the trial is recorded as
                FAILED; or the trial does not run.
            UnsafeError: an iteration between this report and the last is missing.
            StorageError: the report could not be written.
        """
        trial = self._running(number)
        before = self.last_iteration(number, seed)
        if not 1 <= iteration <= before + 1:
            msg = (
                f"trial {number}: reported iteration {iteration} after {before}; "
                "continue it from a checkpoint that is not ahead of the record"
            )
            raise UnsafeError(msg)
        report = Report(
            sequence=0,
            number=number,
            seed=seed,
            iteration=iteration,
            seconds=float(seconds),
            cpu_seconds=float(cpu_seconds),
            checkpoint=checkpoint,
            checkpoint_sha256=self._sha256(trial, checkpoint),
            scalars={name: _number(scalars[name]) for name in SCALARS if name in scalars},
        )
        if fault := self._progress.fault(report):
            self.finish(number, "FAILED", "non-finite objective", fault)
            msg = f"trial {number}: {fault}; the trial has FAILED"
            raise TrialError(msg)
        sequence = self._record.insert(report, self._progress.value(report))
        report = replace(report, sequence=sequence)
        self._progress.remember(report)
        return report

    def rewind(self, number: int, iteration: int, *, seed: int = 0) -> None:
        """Forget what a trial reported after an iteration, because it goes on from there.

        Raises:
            TrialError: the trial does not run.
            StorageError: the record could not be changed.
        """
        self._running(number)
        if self.last_iteration(number, seed) > iteration:
            self._record.delete_from(number, seed, iteration + 1)
            self._progress = self._read()

    def finish(self, number: int, state: EndState, reason: str, error: str = "") -> Trial:
        """Record the end of a trial; a trial that has ended already is left as it is.

        Its value is the objective at the last report; without any report it has FAILED.

        Args:
            number: of the trial.
            state: COMPLETE (ran to max_iterations), PRUNED (stopped early) or FAILED.
            reason: in words, for the table of trials.
            error: of a failed trial; its last 4,000 characters are kept.

        Raises:
            StorageError: the end could not be written.
        """
        trial = self._progress.trials[number]
        if trial.finished:
            return trial
        if state != "FAILED" and trial.last is None:
            state, reason = "FAILED", f"ended without a report ({reason})"
        if trial.audited:
            reason = f"{reason}; ran on for the audit, condemned by {trial.condemned}"
        trial = replace(trial, state=state, stopped_because=reason, error=error[-ERROR_LENGTH:])
        values = None
        if trial.last and state != "FAILED":
            values = trial.last.values(self.spec.objective)
        self._record.end(trial, values)
        self._progress.trials[number] = trial
        return trial

    def decide(self, number: int) -> rungs.Decision:
        """Apply the stopping rule to a trial at its newest report.

        A condemned trial that is drawn for the audit is recorded as such and goes on to its end.
        """
        return self._judge(self._progress, self._progress.trials[number])

    def iteration(self, number: int) -> int:
        """Return the iteration of a trial's newest report, over all its training seeds."""
        return self._progress.trials[number].iteration

    def checkpoints(self, number: int) -> dict[int, Path]:
        """Return the newest checkpoint of each training seed of a trial that has not crashed."""
        trial = self._progress.trials[number]
        folder = self.directory.trial(number)
        newest = self._progress.newest(number)
        return {
            seed: folder / report.checkpoint
            for seed, report in sorted(newest.items())
            if report.checkpoint and seed not in trial.lost_seeds
        }

    def value(self, number: int) -> float:
        """Return the first objective at a trial's newest report, over all its training seeds."""
        last = self._progress.trials[number].last
        return math.nan if last is None else self._progress.value(last)

    def decides(self, number: int) -> bool:
        """Tell whether a trial is where the stopping rule, or the end, has a say.

        With several training seeds that is after the last seed of a stage only.
        """
        return not self.stages or self._progress.finished_stage(number) is not None

    def lose_seed(self, number: int, seed: int, reason: str) -> bool:
        """Record that a training seed of a trial has crashed; tell whether the trial goes on.

        It does while a seed of its stage is left; at each comparison the crashed one then counts
        as the worst value that any trial had there.
        """
        trial = self._running(number)
        trial = replace(trial, lost_seeds={**trial.lost_seeds, seed: reason})
        done = {s: self.last_iteration(number, s) for s in range(self.spec.search.seeds_per_trial)}
        if not survives(self.stages, done, trial.lost_seeds):
            return False
        self._record.mark_lost_seeds(trial)
        self._progress.trials[number] = trial
        self._progress.summarise(number)
        return True

    def trials(self) -> list[Trial]:
        """Return all trials by number."""
        return [trial for _, trial in sorted(self._progress.trials.items())]

    def reports(self, number: int | None = None) -> list[Report]:
        """Return the reports of a trial, by default of all, in the order of recording."""
        return self._record.reports(number)

    def last_iteration(self, number: int, seed: int = 0) -> int:
        """Return the last iteration that a trial reported, 0 before the first."""
        return self._progress.last_iteration(number, seed)

    @property
    def curves(self) -> rungs.Curves:
        """The first objective by trial number and iteration, as the stopping rules read it."""
        return self._progress.curves

    @property
    def seconds_spent(self) -> float:
        """Wall time of the search over all its starts; to be kept up by who runs it."""
        return self._seconds_spent

    @seconds_spent.setter
    def seconds_spent(self, seconds: float) -> None:
        self._record.set_attribute(SECONDS, seconds)
        self._seconds_spent = seconds

    def _read(self) -> Progress:
        return Progress(self._record.trials(), self.reports(), self.spec.objective, self.stages)

    def _progress_of(self, reports: list[Report]) -> Progress:
        trials = dict(self._progress.trials)
        return Progress(trials, reports, self.spec.objective, self.stages)

    def _new_trial(self, number: int) -> Trial:
        starts = self.spec.search.start_with
        if number < len(starts):
            why = f"entry {number} of start_with"
            trial = Trial(number, "RUNNING", starts[number], "start_with", why)
        else:
            ended = sum(trial.finished for trial in self._progress.trials.values())
            why = f"{self.spec.search.sampler}, knowing {ended} finished trials"
            settings, system = self._proposals.propose(number, self._progress.trials)
            trial = Trial(number, "RUNNING", settings, "sampler", why, system=system)
        inside = {
            name: distribution(dimension)
            for name, dimension in self.spec.space.items()
            if name in trial.settings and dimension.contains(trial.settings[name])
        }
        self._record.add(trial, inside)
        self._progress.trials[number] = trial
        return trial

    def _judge(self, progress: Progress, trial: Trial) -> rungs.Decision:
        if trial.audited:
            return rungs.GO_ON
        stopping = self.spec.stopping
        decision = progress.decide(trial.number, stopping)
        if decision.action == "continue":
            return decision
        if not rungs.runs_on(stopping, self.spec.seed, trial.number):
            return decision
        trial = replace(trial, audited=trial.iteration, condemned=decision.reason)
        self._record.mark_audited(trial)
        self._progress.trials[trial.number] = trial
        return rungs.GO_ON

    def _running(self, number: int) -> Trial:
        trial = self._progress.trials.get(number)
        if trial is None or trial.state != "RUNNING":
            state = trial.state if trial else "not in the study"
            msg = f"trial {number}: is {state}; only a trial that `suggest` gave can report"
            raise TrialError(msg)
        return trial

    def _sha256(self, trial: Trial, checkpoint: str) -> str:
        if trial.last and trial.last.checkpoint == checkpoint:
            return trial.last.checkpoint_sha256
        return manifest_sha256(self.directory.trial(trial.number), checkpoint)

    def _let_wait(self) -> None:
        for trial in self.trials():
            if trial.state == "RUNNING":
                self._set_state(trial, "WAITING")

    def _set_state(self, trial: Trial, state: State) -> None:
        self._record.set_state(trial.number, state)
        self._progress.trials[trial.number] = replace(trial, state=state)


def _number(value: Any) -> float:
    """Return a scalar as a float; what is none counts as not finite."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
