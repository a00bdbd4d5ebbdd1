"""study.db, one SQLite file: how it is created and opened, and what its faults are called."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from biomarl_tune.errors import StorageError, UnsafeError
from biomarl_tune.search.reports import REPORTS

BUSY_SECONDS = 5
DAMAGE = ("malformed", "not a database", "no such table", "no such column")


def create_database(path: Path) -> RDBStorage:
    """Create the tables of a new record; the caller syncs the file when it is complete.

    Raises:
        StorageError: the disk failed.
    """
    with guarded(path):
        # nothing is there to lose before the rename
        storage = _storage(path, mode="rwc", synchronous="OFF", skip_table_creation=False)
        REPORTS.metadata.create_all(storage.engine)
        return storage


def open_database(path: Path, *, read_only: bool) -> RDBStorage:
    """Open a record; readers do not disturb the writer.

    Raises:
        UnsafeError: the file is no database of ours, or is damaged.
        StorageError: it is locked or the disk failed.
    """
    mode = "ro" if read_only else "rw"
    try:
        with guarded(path):
            return _storage(path, mode=mode, synchronous="FULL", skip_table_creation=True)
    except RuntimeError as error:  # Optuna's word for tables of another version
        msg = f"{path}: was written by another Optuna ({error}); install that version"
        raise UnsafeError(" ".join(msg.split())) from None


def check_integrity(storage: RDBStorage, path: Path) -> None:
    """Have SQLite check the file's structure.

    Raises:
        UnsafeError: it is damaged.
    """
    with guarded(path), storage.engine.connect() as connection:
        found = connection.execute(sa.text("PRAGMA quick_check(1)")).scalar_one()
    if found != "ok":
        msg = f"{path}: is damaged ({found}); restore study.db from a copy"
        raise UnsafeError(msg)


@contextlib.contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn what SQLAlchemy, SQLite and Optuna raise into errors that name the file and the cure.

    Raises:
        UnsafeError: the file is damaged or foreign.
        StorageError: it is locked, or the disk failed.
    """
    try:
        yield
    except (sa.exc.SQLAlchemyError, StorageInternalError) as error:
        text = " ".join(str(_root_cause(error)).split())[:200]
        if any(sign in text for sign in DAMAGE):
            msg = f"{path}: is damaged or no study ({text}); restore it from a copy"
            raise UnsafeError(msg) from error
        msg = (
            f"{path}: the record cannot be used ({text}); what was recorded is intact, "
            "free the disk or end what locks it, then resume"
        )
        raise StorageError(msg) from error
    except OSError as error:
        msg = f"{path}: cannot be written ({error.strerror}); free or mend the disk, then resume"
        raise StorageError(msg) from error


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _storage(path: Path, *, mode: str, synchronous: str, skip_table_creation: bool) -> RDBStorage:
    location = f"file:{quote(str(path.absolute()))}?mode={mode}"
    if mode == "ro" and not os.access(path.parent, os.W_OK):
        location += "&immutable=1"  # WAL needs a file beside the database, even to read

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            location, uri=True, timeout=BUSY_SECONDS, check_same_thread=False
        )
        connection.execute(f"PRAGMA synchronous={synchronous}")
        if mode == "rwc":
            connection.execute("PRAGMA journal_mode=WAL")
        return connection

    return RDBStorage(
        "sqlite:///study.db",  # not used: a path in a URL would be parsed for templates
        engine_kwargs={"creator": connect},
        skip_table_creation=skip_table_creation,
    )
