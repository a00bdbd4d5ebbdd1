"""The database of a study, in the words of this package; each write is committed on return."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from biomarl_tune.errors import StorageError, UnsafeError
from biomarl_tune.faults import write_point
from biomarl_tune.search import database, optuna_tables, reports
from biomarl_tune.search.proposals import DIRECTIONS
from biomarl_tune.search.space import plain
from biomarl_tune.search.trial import Report, State, Trial

_STATES: dict[TrialState, State] = {
    TrialState.WAITING: "WAITING",
    TrialState.RUNNING: "RUNNING",
    TrialState.COMPLETE: "COMPLETE",
    TrialState.PRUNED: "PRUNED",
    TrialState.FAIL: "FAILED",
}
AUDIT, LOST_SEEDS = "audited", "lost_seeds"
_OPTUNA_STATES = {state: optuna_state for optuna_state, state in _STATES.items()}


class Record:
    """An open database that holds one Optuna study and the reports of its trials.

    Every method raises StorageError when the database is locked or the disk fails, and
    UnsafeError when the file is damaged.
    """

    def __init__(self, storage: RDBStorage, path: Path) -> None:
        self._storage = storage
        self._path = path
        self._open = True
        self._file = _file_number(path)
        with self._guarded():
            studies = storage.get_all_studies()
        if len(studies) != 1:
            msg = f"{path}: holds {len(studies)} studies instead of one; restore it from a copy"
            raise UnsafeError(msg)
        self._study = studies[0]._study_id  # noqa: SLF001 - Optuna's storages speak in ids
        self.attributes: dict[str, Any] = studies[0].user_attrs
        self._ids: dict[int, int] = {}  # Optuna's id of a trial by its number

    @classmethod
    def create(cls, path: Path, name: str, modes: Sequence[str], about: dict[str, Any]) -> None:
        """Write the database of a new study; the caller syncs the file."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with database.guarded(path):
            storage = database.create_database(path)
            study = storage.create_new_study([DIRECTIONS[mode] for mode in modes], name)
            write_point()
            optuna_tables.write_study_attributes(storage.engine, study, about)
            _disconnect(storage)

    @classmethod
    def open(cls, path: Path, *, read_only: bool) -> Record:
        """Open a database; a writer checks its integrity first."""
        storage = database.open_database(path, read_only=read_only)
        try:
            if not read_only:
                database.check_integrity(storage, path)
            return cls(storage, path)
        except BaseException:
            _disconnect(storage)
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._open = False
        _disconnect(self._storage)

    def set_attribute(self, name: str, value: Any) -> None:
        """Write an attribute of the study."""
        with self._writing():
            optuna_tables.write_study_attributes(self._storage.engine, self._study, {name: value})
        self.attributes[name] = value

    def trials(self) -> dict[int, Trial]:
        """Return all trials by number, each with its newest report of seed 0."""
        last = {report.number: report for report in self.reports() if report.seed == 0}
        with self._guarded():
            frozen = self._storage.get_all_trials(self._study, deepcopy=False)
        self._ids = {trial.number: trial._trial_id for trial in frozen}  # noqa: SLF001
        return {trial.number: _trial(trial, last.get(trial.number)) for trial in frozen}

    def optuna_trials(self) -> list[FrozenTrial]:
        """Return all trials by number as Optuna has them."""
        with self._guarded():
            return sorted(
                self._storage.get_all_trials(self._study, deepcopy=False),
                key=lambda trial: trial.number,
            )

    def check_integrity(self) -> None:
        """Have SQLite check the file.

        Raises:
            UnsafeError: it is damaged.
        """
        database.check_integrity(self._storage, self._path)

    def reports(self, number: int | None = None) -> list[Report]:
        """Return the reports of a trial, by default of all, in the order of recording."""
        with self._guarded():
            return reports.read_reports(self._storage.engine, number)

    def add(self, trial: Trial, distributions: Mapping[str, BaseDistribution]) -> None:
        """Add a trial that begins now; `distributions` names the settings Optuna is told."""
        parameters = {name: (plain(trial.settings[name]), d) for name, d in distributions.items()}
        about = {"settings": trial.settings, "start": trial.start, "why": trial.why}
        with self._writing():
            self._ids[trial.number] = optuna_tables.add_trial(
                self._storage.engine, self._study, trial.number, parameters, about, trial.system
            )

    def set_state(self, number: int, state: State) -> None:
        """Let a trial wait or run."""
        with self._writing():
            self._storage.set_trial_state_values(self._ids[number], _OPTUNA_STATES[state])

    def mark_audited(self, trial: Trial) -> None:
        """Write that a condemned trial runs on, and at which iteration it was condemned."""
        mark = {"iteration": trial.audited, "reason": trial.condemned}
        with self._writing():
            self._write_attributes(trial, {AUDIT: mark})

    def mark_lost_seeds(self, trial: Trial) -> None:
        """Write which of a trial's training seeds have crashed."""
        lost = {str(seed): reason for seed, reason in trial.lost_seeds.items()}
        with self._writing():
            self._write_attributes(trial, {LOST_SEEDS: lost})

    def end(self, trial: Trial, values: tuple[float, ...] | None) -> None:
        """Write a trial's end: its attributes, then its state and values.

        A process that dies in between leaves the trial running; its attributes are written again.
        """
        with self._writing():
            self._write_attributes(trial, _end_attributes(trial))
            write_point()
            state = _OPTUNA_STATES[trial.state]
            self._storage.set_trial_state_values(self._ids[trial.number], state, values)

    def insert(self, report: Report, value: float) -> int:
        """Write a report in the place of those from its iteration on; return its sequence."""
        with self._writing():
            trial_id = self._ids[report.number]
            return reports.insert_report(self._storage.engine, report, trial_id, value)

    def delete_from(self, number: int, seed: int, first: int) -> None:
        """Delete a trial's reports from an iteration on."""
        with self._writing():
            trial_id = self._ids[number]
            reports.delete_reports(self._storage.engine, number, seed, trial_id, first=first)

    def _write_attributes(self, trial: Trial, values: Mapping[str, Any]) -> None:
        optuna_tables.write_trial_attributes(self._storage.engine, self._ids[trial.number], values)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._guarded():
            if _file_number(self._path) != self._file:
                msg = (
                    f"{self._path}: has vanished or was replaced while the search ran; put the "
                    "run directory back in its place, then resume"
                )
                raise StorageError(msg)
            write_point()
            yield

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        assert self._open, "a closed record holds no lock any more"
        with database.guarded(self._path):
            yield


def _file_number(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from any other of its name; None where there is none.

    SQLite goes on writing to a file that was deleted or moved away.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _trial(frozen: FrozenTrial, last: Report | None) -> Trial:
    noted = frozen.user_attrs
    audit = noted.get(AUDIT, {})
    return Trial(
        number=frozen.number,
        state=_STATES[frozen.state],
        settings=noted["settings"],
        start=noted["start"],
        why=noted["why"],
        last=last,
        stopped_because=noted.get("stopped_because", "") if frozen.state.is_finished() else "",
        error=noted.get("error", "") if frozen.state.is_finished() else "",
        audited=audit.get("iteration", 0),
        condemned=audit.get("reason", ""),
        lost_seeds={int(seed): why for seed, why in noted.get(LOST_SEEDS, {}).items()},
        system=frozen.system_attrs,
    )


def _end_attributes(trial: Trial) -> dict[str, Any]:
    noted: dict[str, Any] = {"stopped_because": trial.stopped_because}
    if trial.error:
        noted["error"] = trial.error
    if trial.last:
        names = ("iteration", "seconds", "cpu_seconds", "checkpoint", "checkpoint_sha256")
        noted.update({name: getattr(trial.last, name) for name in names})
    return noted


def _disconnect(storage: RDBStorage) -> None:
    storage.remove_session()
    storage.engine.dispose()
