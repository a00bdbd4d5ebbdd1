"""The health of a run directory: what is wrong in it, and what to do about that."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from biomarl_tune.errors import BiomarlError, CheckpointError, InputError
from biomarl_tune.ppo.checkpoint import verify_checkpoint
from biomarl_tune.search.directory import RunDirectory, holder, manifest_sha256
from biomarl_tune.search.identity import check_unchanged
from biomarl_tune.search.leftovers import half_written, unrecorded
from biomarl_tune.search.record import Record
from biomarl_tune.search.study import Study
from biomarl_tune.search.trial import Report, Trial

_RESTORE = "restore study.db from a copy"


@dataclass(frozen=True)
class Finding:
    """Something that is wrong."""

    what: str
    remedy: str


@dataclass(frozen=True)
class Examination:
    """What was found in a run directory.

    Attributes:
        state: running, interrupted, finished, or unreadable when the record cannot be opened.
        holder: the process that runs the search; empty if none does.
        requested: trials that were asked for.
        trials: how many there are in each state.
        repeated: trials whose settings an earlier one had too; a small space may run out of new.
        findings: empty when the run is healthy.
    """

    directory: Path
    state: str
    holder: str = ""
    requested: int = 0
    trials: dict[str, int] | None = None
    repeated: int = 0
    findings: tuple[Finding, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong; a search that can go on is healthy."""
        return not self.findings


def examine(path: Path) -> Examination:
    """Examine a run directory; nothing in it is changed.

    Raises:
        InputError: it is none.
    """
    directory = RunDirectory(path)
    runs = holder(directory)
    try:
        with Study.open(path, read_only=True) as study:
            return _examined(study, runs)
    except InputError:
        raise
    except BiomarlError as error:
        what, _, remedy = str(error).rpartition("; ")
        return Examination(path, "unreadable", runs, findings=(Finding(what, remedy),))


def _examined(study: Study, runs: str) -> Examination:
    record = Record.open(study.directory.database, read_only=True)
    try:
        found = [*_record_findings(study, record), *_report_findings(study, record)]
    finally:
        record.close()
    found += _checkpoint_findings(study)
    if not runs:
        found += _orphans(study)
    trials = study.trials()
    settings = [tuple(sorted((k, str(v)) for k, v in trial.settings.items())) for trial in trials]
    return Examination(
        study.directory.path,
        _state(study, runs),
        runs,
        study.spec.search.trials,
        dict(Counter(trial.state for trial in trials)),
        len(settings) - len(set(settings)),
        tuple(found),
    )


def _state(study: Study, runs: str) -> str:
    if runs:
        return "running"
    trials = study.trials()
    minutes = study.spec.budget.minutes
    over = minutes is not None and study.seconds_spent > 60 * minutes
    all_there = len(trials) >= study.spec.search.trials or over
    return "finished" if all_there and all(t.finished for t in trials) else "interrupted"


def _record_findings(study: Study, record: Record) -> Iterator[Finding]:
    """Look at the database itself, the search space, and the trials as Optuna has them."""
    for check in (record.check_integrity, lambda: check_unchanged(study.identity, study.directory)):
        try:
            check()
        except BiomarlError as error:
            what, _, remedy = str(error).rpartition("; ")
            yield Finding(what, remedy)
    trials = study.trials()
    if [trial.number for trial in trials] != list(range(len(trials))):
        yield Finding(f"the numbers of the {len(trials)} trials have gaps", _RESTORE)
    longest = study.spec.stopping.max_iterations
    for trial, frozen in zip(trials, record.optuna_trials(), strict=True):
        if trial.state == "COMPLETE" and trial.iteration < longest:
            what = f"trial {trial.number} is COMPLETE after {trial.iteration} of {longest}"
            yield Finding(f"{what} iterations", _RESTORE)
        if _ended_otherwise(trial, frozen, study):
            what = f"trial {trial.number} ended with {frozen.values}, which it did not report last"
            yield Finding(what, _RESTORE)


def _ended_otherwise(trial: Trial, frozen: FrozenTrial, study: Study) -> bool:
    if frozen.state not in {TrialState.COMPLETE, TrialState.PRUNED}:
        return False
    last = trial.last.values(study.spec.objective) if trial.last else ()
    return tuple(frozen.values or ()) != last


def _report_findings(study: Study, record: Record) -> Iterator[Finding]:
    """Look for gaps in the reports, and for values that Optuna has otherwise."""
    metric = study.spec.objective[0].metric
    curves: dict[tuple[int, int], list[Report]] = {}
    for report in study.reports():
        curves.setdefault((report.number, report.seed), []).append(report)
    known = {trial.number for trial in study.trials()}
    for (number, seed), reports in curves.items():
        iterations = [report.iteration for report in reports]
        if number not in known:
            yield Finding(f"there are reports of trial {number}, but no such trial", _RESTORE)
        if iterations != list(range(1, len(iterations) + 1)):
            what = f"the reports of trial {number}, seed {seed} are of iterations {iterations}"
            yield Finding(what, _RESTORE)
        if not all(math.isfinite(report.value(metric)) for report in reports):
            yield Finding(f"trial {number} has a report without a finite {metric}", _RESTORE)
    for frozen in record.optuna_trials():
        ours = {r.iteration: r.value(metric) for r in curves.get((frozen.number, 0), [])}
        if frozen.intermediate_values != ours:
            what = f"Optuna's values of trial {frozen.number} differ from its reports"
            yield Finding(what, _RESTORE)


def _checkpoint_findings(study: Study) -> Iterator[Finding]:
    """Verify every checkpoint; a complete trial must have the one that it reported last."""
    for trial in study.trials():
        folder = study.directory.trial(trial.number)
        for path in sorted(folder.glob("checkpoints/**/iteration-*")):
            try:
                verify_checkpoint(path)
            except CheckpointError as error:
                what, _, _ = str(error).rpartition("; ")
                yield Finding(what, "delete it; the one before is used, or the trial starts over")
        if trial.state != "COMPLETE" or trial.last is None or not trial.last.checkpoint:
            continue
        if manifest_sha256(folder, trial.last.checkpoint) != trial.last.checkpoint_sha256:
            what = f"{folder / trial.last.checkpoint} is not the checkpoint that was recorded"
            yield Finding(what, "restore it from a copy; the trial cannot be replayed without it")


def _orphans(study: Study) -> Iterator[Finding]:
    """Look for what a process that is gone has left half done."""
    resume = f"biomarl-tune resume {study.directory.path}"
    running = [str(trial.number) for trial in study.trials() if trial.state == "RUNNING"]
    if running:
        what = f"running trials ({', '.join(running)}), but no process that runs the search"
        yield Finding(what, resume)
    for path in half_written(study.directory.path):
        yield Finding(f"{path} was never finished", resume)
    for trial in study.trials():
        folder = study.directory.trial(trial.number)
        recorded = partial(study.last_iteration, trial.number)
        ahead = [] if trial.finished else unrecorded(folder, recorded)
        for path in ahead:
            yield Finding(f"{path} is ahead of the record", resume)
    known = {str(trial.number) for trial in study.trials()}
    for folder in sorted(study.directory.path.glob("trials/*")):
        if folder.name.isdigit() and folder.name not in known:
            yield Finding(f"{folder} is of no trial in the record", "delete it, or " + _RESTORE)
