"""A run directory: where everything of a run lies, who may write there, how it comes to be."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from biomarl_tune.errors import InputError, RunExistsError, StorageError, UnsafeError
from biomarl_tune.faults import write_point
from biomarl_tune.search.spec import checked_name


@dataclass(frozen=True)
class RunDirectory:
    """The paths of one run. Only this class knows them; the record holds relative ones."""

    path: Path

    @property
    def spec(self) -> Path:
        """The search space as given."""
        return self.path / "spec.yaml"

    @property
    def experiment(self) -> Path:
        """The fixed settings over the defaults."""
        return self.path / "experiment.json"

    @property
    def database(self) -> Path:
        """The record."""
        return self.path / "study.db"

    @property
    def lock(self) -> Path:
        """Held by the process that runs the search."""
        return self.path / "lock"

    @property
    def interrupt(self) -> Path:
        """Its presence asks the trials to write a checkpoint now."""
        return self.path / "interrupt"

    @property
    def log(self) -> Path:
        """What Ray and RLlib print, and our own warnings."""
        return self.path / "run.log"

    @property
    def defaults(self) -> Path:
        """The defaults, trained for the verdict outside the study."""
        return self.path / "trials" / "defaults"

    def trial(self, number: int) -> Path:
        """Return the directory of a trial: TensorBoard events, progress table, checkpoints."""
        return self.path / "trials" / str(number)

    def table(self, name: str) -> Path:
        """Return the file of a table: trials, metrics or evaluation."""
        return self.path / f"{name}.parquet"

    def new_attempt(self) -> Path:
        """Create the directory for Tune's own files of the next start and return it."""
        attempts = self.path / "attempts"
        attempts.mkdir(exist_ok=True)
        taken = [int(entry.name) for entry in attempts.iterdir() if entry.name.isdigit()]
        attempt = attempts / str(max(taken, default=0) + 1)
        attempt.mkdir()
        return attempt


def run_directory(root: Path, name: str) -> RunDirectory:
    """Return the directory of the run of that name under a results folder.

    Raises:
        InputError: the name is none that a run may have.
    """
    return RunDirectory(root / checked_name(name))


def fresh_name(root: Path, name: str) -> str:
    """Return the name, or the first of name-2, name-3, ... that no run has yet."""
    free = checked_name(name)
    count = 2
    while os.path.lexists(root / free):
        suffix = f"-{count}"
        free = name[: 64 - len(suffix)] + suffix
        count += 1
    return free


def check_free(root: Path, name: str) -> None:
    """Refuse a run that could not be created, and write nothing.

    Raises:
        RunExistsError: there is something of that name already.
        InputError: the results folder cannot be written.
    """
    target = run_directory(root, name)
    if os.path.lexists(target.path):
        raise RunExistsError(_exists(target.path))
    there = next(path for path in (root, *root.absolute().parents) if path.exists())
    if not there.is_dir():
        msg = f"{root}: cannot be a results folder, {there} is a file; choose another --results"
        raise InputError(msg)
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(_unwritable(root))


def build(root: Path, name: str, fill: Callable[[Path], None]) -> RunDirectory:
    """Create a run directory in one step: complete, or not at all.

    Args:
        root: the results folder; created if it is missing.
        name: of the run.
        fill: writes the first files into an empty directory beside the final place.

    Raises:
        RunExistsError: there is something of that name already.
        InputError: the results folder cannot be written.
        StorageError: the disk failed under way; nothing is left behind.
    """
    target = run_directory(root, name)
    _make_root(root)
    with _only_builder(root):
        if os.path.lexists(target.path):
            raise RunExistsError(_exists(target.path))
        new = root / f".{name}.new"
        shutil.rmtree(new, ignore_errors=True)
        try:
            write_point()
            new.mkdir()
            fill(new)
            for entry in (*new.iterdir(), new):
                sync(entry)
            write_point()
            new.rename(target.path)
            sync(root)
        except OSError as error:
            msg = f"{target.path}: cannot be created ({error.strerror}); free or repair the disk"
            raise StorageError(msg) from None
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return target


def manifest_sha256(trial: Path, checkpoint: str) -> str:
    """Return the hash of a checkpoint's manifest; empty if it is not within reach.

    Args:
        trial: the trial's directory.
        checkpoint: relative to it; empty for none.
    """
    manifest = trial / checkpoint / "manifest.json"
    if not checkpoint or not manifest.is_file():
        return ""
    return hashlib.sha256(manifest.read_bytes()).hexdigest()


def sync(path: Path) -> None:
    """Have the file system write a file or a directory's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def acquire(directory: RunDirectory) -> IO[str]:
    """Take the run's lock until the returned file is closed or the process ends.

    The system drops the lock of a dead process, so there is nothing to clean up after one.

    Raises:
        UnsafeError: a living process holds it.
        StorageError: the directory cannot be written.
    """
    try:
        file = directory.lock.open("a+", encoding="utf-8")
    except OSError as error:
        msg = f"{directory.path}: cannot be written ({error.strerror}); mend the directory's rights"
        raise StorageError(msg) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        msg = f"{directory.path}: process {holder} is running this search; wait for it or end it"
        raise UnsafeError(msg) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def holder(directory: RunDirectory) -> str:
    """Return the number of the process that holds the run's lock; empty if none does."""
    try:
        file = directory.lock.open(encoding="utf-8")
    except OSError:
        return ""
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return file.read().strip() or "unknown"
    return ""


def _make_root(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{root}: cannot be a results folder ({error.strerror}); choose another --results"
        raise InputError(msg) from None
    if not os.access(root, os.W_OK | os.X_OK):
        raise InputError(_unwritable(root))


@contextlib.contextmanager
def _only_builder(root: Path) -> Iterator[None]:
    """Keep other processes from building in the same results folder meanwhile."""
    descriptor = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _unwritable(root: Path) -> str:
    return f"{root}: cannot be written; choose another --results or mend its rights"


def _exists(path: Path) -> str:
    return (
        f"{path}: a run of that name is there already; go on with `biomarl-tune resume {path}`, "
        "or give --fresh for the next free name"
    )
