"""Cases 20 to 33: disks that fill up, files that are damaged, clocks and locks."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from itertools import pairwise

import optuna
import pytest
import simulated
from audit import check_search, ends
from conftest import COMMAND, until

from biomarl_tune.errors import StorageError, UnsafeError
from biomarl_tune.search import database
from biomarl_tune.search.examination import examine
from biomarl_tune.search.study import Study

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

TEXT = simulated.space(trials=8, iterations=4)
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def _interrupted(results, *, after=9, text=TEXT):
    """Begin a search and ask it to stop after so many reports; return the run directory."""
    seen = []

    class Counting:
        def started(self, *_):
            """Do nothing."""

        def reported(self, *_):
            seen.append(1)
            if len(seen) == after:
                os.kill(os.getpid(), signal.SIGTERM)

        def ended(self, *_):
            """Do nothing."""

    with pytest.raises(simulated.StoppedError):
        simulated.search(results, text, observers=(Counting(),))
    return results / "simulated"


def _may_mount():
    tried = subprocess.run(
        [*NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"], check=False, capture_output=True
    )
    return tried.returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="this system lets nobody mount in a namespace")
@pytest.mark.parametrize("left_kb", [1400, 2500])
def test_case_20_a_full_disk_stops_the_search_resumably(tmp_path, spec, left_kb):
    """Exit 5 with all that was recorded; when there is room again the search goes on to its end."""
    disk = tmp_path / "disk"
    disk.mkdir()
    file = spec(trials=6, iterations=6, batch=400)
    run = disk / "results" / "small"
    command = " ".join(COMMAND)
    script = f"""
        mount -t tmpfs -o size=24m none {disk}
        dd if=/dev/zero of={disk}/ballast bs=1k count={24 * 1024 - left_kb} status=none
        {command} run {file} --results {disk}/results --engine local; echo "run: $?"
        {command} doctor {run}; echo "doctor: $?"
        rm {disk}/ballast
        {command} resume {run} --engine local; echo "resume: $?"
        {command} doctor {run}; echo "doctor: $?"
    """
    done = subprocess.run(
        [*NAMESPACE, "bash", "-c", script], check=False, capture_output=True, text=True
    )
    told = [line for line in done.stdout.splitlines() if line.startswith(("run:", "resume:"))]
    assert told == ["run: 5", "resume: 0"], done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("doctor: 0")
    assert "Traceback" not in done.stdout + done.stderr


def test_case_22_a_results_folder_that_is_none_is_refused_at_once(tmp_path, spec):
    """Exit 2 and one line, before anything is begun."""
    (tmp_path / "file").touch()
    done = subprocess.run(
        [*COMMAND, "run", str(spec()), "--results", str(tmp_path / "file")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("vanishing", ["deleted", "moved"])
def test_case_22_a_results_folder_that_vanishes_stops_the_search(tmp_path, vanishing):
    """SQLite would go on writing into a file that nobody can find any more."""

    class Vanishing:
        def started(self, number, *_):
            if number == 3 and vanishing == "moved":
                (tmp_path / "simulated").rename(tmp_path / "elsewhere")
            elif number == 3:
                shutil.rmtree(tmp_path / "simulated")

        def reported(self, *_):
            """Do nothing."""

        def ended(self, *_):
            """Do nothing."""

    with pytest.raises(StorageError, match="has vanished"):
        simulated.search(tmp_path, TEXT, observers=(Vanishing(),))

    if vanishing == "moved":
        shutil.rmtree(tmp_path / "simulated", ignore_errors=True)
        (tmp_path / "elsewhere").rename(tmp_path / "simulated")
        simulated.search(tmp_path, TEXT)
        check_search(tmp_path / "simulated", trials=8)


@pytest.mark.parametrize("damage", ["truncated", "emptied", "flipped", "removed", "linked"])
def test_cases_23_24_a_damaged_checkpoint_is_passed_over(tmp_path, damage):
    """The trial goes on from the one before, or starts over; the end is that of the whole run."""
    simulated.search(tmp_path / "whole", TEXT)
    path = _interrupted(tmp_path / "damaged", after=3)
    newest = max(path.glob("trials/*/checkpoints/iteration-*"))
    state = newest / "state" / "simulated.json"
    if damage == "truncated":
        (newest / "experiment.json").write_bytes(b"{")
    elif damage == "emptied":
        (newest / "manifest.json").write_bytes(b"")
    elif damage == "flipped":
        content = (newest / "weights.safetensors").read_bytes()
        (newest / "weights.safetensors").write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif damage == "removed":
        state.unlink()
    else:
        state.rename(tmp_path / "outside")
        state.symlink_to(tmp_path / "outside")
    assert str(newest) in examine(path).findings[0].what

    simulated.search(tmp_path / "damaged", TEXT)

    assert ends(path) == ends(tmp_path / "whole" / "simulated")
    with Study.open(path, read_only=True) as study:
        sequences = [report.sequence for report in study.reports()]
    assert all(first < second for first, second in pairwise(sequences))


def test_case_25_what_tune_has_stored_is_not_read(tmp_path):
    """Garbage in its place is no source of truth."""
    path = _interrupted(tmp_path)
    attempt = path / "attempts" / "1"
    attempt.mkdir(parents=True)
    for name in ("experiment_state-2020.json", "tuner.pkl", "searcher-state.pkl"):
        (attempt / name).write_bytes(b"\x80garbage")

    simulated.search(tmp_path, TEXT)

    check_search(path, trials=8)


def test_case_26_a_locked_database_stops_the_search_resumably(tmp_path, monkeypatch):
    """After the time that a writer waits; the report that could not be written is made again."""
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    blockers = []

    class Locking:
        def started(self, number, *_):
            if number == 3 and not blockers:
                blockers.append(sqlite3.connect(tmp_path / "simulated" / "study.db"))
                blockers[0].execute("BEGIN IMMEDIATE")

        def reported(self, *_):
            """Do nothing."""

        def ended(self, *_):
            """Do nothing."""

    with pytest.raises(StorageError, match="locked"):
        simulated.search(tmp_path, TEXT, observers=(Locking(),))
    blockers[0].close()

    simulated.search(tmp_path, TEXT)

    check_search(tmp_path / "simulated", trials=8)


@pytest.mark.parametrize("damage", ["header", "page", "no table", "newer schema", "emptied"])
def test_case_27_a_damaged_record_is_refused_and_diagnosed(tmp_path, damage):
    """Resume exits 3, and so does the doctor, who says what is wrong."""
    path = _interrupted(tmp_path)
    file = path / "study.db"
    if damage == "emptied":
        file.write_bytes(b"")
    elif damage in {"header", "page"}:
        content = bytearray(file.read_bytes())
        begin = 0 if damage == "header" else 4096
        content[begin : begin + 4096] = os.urandom(4096)
        file.write_bytes(content)
    else:
        with sqlite3.connect(file) as connection:
            if damage == "no table":
                connection.execute("DROP TABLE reports")
            else:
                connection.execute(
                    "UPDATE study_user_attributes SET value_json = "
                    "json_set(value_json, '$.schema', 99) WHERE key = 'biomarl_tune'"
                )
        connection.close()

    with pytest.raises(UnsafeError):
        Study.open(path)
    found = examine(path)
    assert not found.healthy
    assert found.findings[0].remedy


def test_case_28_a_second_process_is_refused_until_the_first_is_dead(started, spec, tmp_path):
    """The lock goes with the process that holds it, however that ends."""
    words = [*COMMAND, "run", spec(trials=1, iterations=2000), "--results", tmp_path]
    first = started(*words, "--engine", "local")
    until(first, "trial 0: starts")

    second = started(*COMMAND, "resume", tmp_path / "small", "--engine", "local")
    _, said = second.communicate(timeout=60)
    assert second.returncode == 3
    assert f"process {first.pid} is running this search" in said
    assert examine(tmp_path / "small").state == "running"

    first.kill()
    first.wait()
    with Study.open(tmp_path / "small") as study:
        assert [trial.number for trial in study.resume()] == [0]


def test_case_29_readers_never_see_half_a_trial(tmp_path):
    """Eight of them read all the time; each sees reports without gaps and ends with reasons."""
    over = threading.Event()
    wrong, looks = [], []

    def read():
        while not over.is_set():
            if not (tmp_path / "simulated" / "study.db").exists():
                time.sleep(0.01)
                continue
            with Study.open(tmp_path / "simulated", read_only=True) as study:
                curves, trials = study.curves, study.trials()
            looks.append(len(trials))
            wrong.extend(
                number
                for number, curve in curves.items()
                if sorted(curve) != list(range(1, len(curve) + 1))
            )
            wrong.extend(t.number for t in trials if t.finished and not t.stopped_because)

    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    try:
        simulated.search(tmp_path, TEXT)
    finally:
        over.set()
        for reader in readers:
            reader.join()

    assert wrong == []
    assert len(set(looks)) > 2
    check_search(tmp_path / "simulated", trials=8)


@pytest.mark.parametrize("hours", [-1, 24])
def test_case_30_a_clock_that_was_set_changes_nothing(tmp_path, monkeypatch, hours):
    """Order is by sequence number, durations are by the monotonic clock."""
    simulated.search(tmp_path / "whole", TEXT)
    path = _interrupted(tmp_path / "set")
    shift = dt.timedelta(hours=hours)
    now = time.time

    class Shifted(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return dt.datetime.now(tz) + shift

    monkeypatch.setattr(time, "time", lambda: now() + shift.total_seconds())
    monkeypatch.setattr(optuna.storages._rdb.storage, "datetime", Shifted)
    monkeypatch.setenv("TZ", "Pacific/Auckland")

    simulated.search(tmp_path / "set", TEXT)

    check_search(path, trials=8)
    assert ends(path) == ends(tmp_path / "whole" / "simulated")


def test_a_checkpoint_on_a_full_disk_is_no_fault_of_the_trial(tmp_path, monkeypatch):
    """The search stops with exit 5, and the trial goes on when it is resumed."""
    written = []
    write = simulated.Simulated.write_state

    def full(trainer, folder):
        written.append(folder)
        if len(written) == 4:
            raise OSError(28, "No space left on device")
        write(trainer, folder)

    monkeypatch.setattr(simulated.Simulated, "write_state", full)
    with pytest.raises(StorageError, match="a checkpoint cannot be written") as raised:
        simulated.search(tmp_path, TEXT)
    assert raised.value.exit_code == 5
    assert examine(tmp_path / "simulated").healthy

    simulated.search(tmp_path, TEXT)

    check_search(tmp_path / "simulated", trials=8)
