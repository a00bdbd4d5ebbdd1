"""Cases 3 to 5: signals and closed pipes, as the command line sees them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from conftest import COMMAND, until, wait_for_report

from biomarl_tune.search.examination import examine

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

LONG = {"trials": 2, "iterations": 2000, "batch": 4000, "scheduler": "none"}


def _begun(started, spec, tmp_path, *, engine="local", **more):
    """Return a process whose first trial has reported."""
    words = [*COMMAND, "run", spec(**LONG), "--results", tmp_path, "--engine", engine]
    process = started(*words, **more)
    until(process, "trial 0: starts")
    wait_for_report(tmp_path / "small", process)
    return process


def _stopped(process, *signals):
    """Send signals and return the exit code, the seconds that took, and what was said."""
    begin = time.monotonic()
    for number in signals:
        process.send_signal(number)
    _, said = process.communicate(timeout=60)
    return process.returncode, time.monotonic() - begin, said


def _check_interrupted(run, *, checkpoints):
    found = examine(run)
    assert found.findings == ()
    assert (found.state, found.trials) == ("interrupted", {"WAITING": 1})
    assert any((run / "trials" / "0" / "checkpoints").glob("iteration-*")) is checkpoints


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
def test_cases_3_4_5_a_signal_stops_with_a_checkpoint(started, spec, tmp_path, number, code):
    """Within 15 seconds, with the exit code of the signal and the command to go on with."""
    process = _begun(started, spec, tmp_path)
    found, seconds, said = _stopped(process, number)
    assert found == code, said
    assert seconds < 15
    assert f"biomarl-tune resume {tmp_path / 'small'}" in said
    _check_interrupted(tmp_path / "small", checkpoints=True)


def test_case_3_two_signals_stop_at_once(started, spec, tmp_path):
    """The second does not wait for the iteration, and the search can still be resumed."""
    process = _begun(started, spec, tmp_path)
    found, seconds, said = _stopped(process, signal.SIGINT, signal.SIGTERM)
    assert found == 130, said
    assert seconds < 5
    assert examine(tmp_path / "small").healthy


def test_case_5_a_closed_pipe_does_not_end_the_search(started, spec, tmp_path):
    """`biomarl-tune run ... | head -1` runs to its end."""
    reading, writing = os.pipe()
    words = [*COMMAND, "run", spec(trials=2, iterations=2), "--results", tmp_path]
    process = started(*words, "--engine", "local", stdout=writing)
    os.close(writing)
    os.close(reading)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    found = examine(tmp_path / "small")
    assert (found.findings, found.state) == ((), "finished")
    assert (tmp_path / "small" / "evaluation.parquet").is_file()


def test_signal_during_the_evaluation_stops_at_once(started, spec, tmp_path):
    """Nothing is under way that would be lost; resume repeats the stage."""
    words = [*COMMAND, "run", spec(trials=1, iterations=1), "--results", tmp_path]
    process = started(*words, "--engine", "local", environment={"PYTHONUNBUFFERED": "1"})
    until(process, "replaying")
    code, seconds, said = _stopped(process, signal.SIGTERM)
    assert (code, seconds < 15) in {(143, True), (0, True)}, said  # it may just have ended
    assert examine(tmp_path / "small").healthy


@pytest.mark.ray
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_cases_3_4_under_ray_nothing_stays_behind(started, spec, tmp_path, number, code):
    """As without Ray; and no process, and no shared memory of the run, is left after it."""
    memory = set(_shared_memory())
    process = _begun(started, spec, tmp_path, engine="ray")
    family = psutil.Process(process.pid).children(recursive=True)
    assert any("raylet" in " ".join(_words(child)) for child in family)
    found, seconds, said = _stopped(process, number)
    assert found == code, said
    assert seconds < 15
    _check_interrupted(tmp_path / "small", checkpoints=True)
    _check_gone(family, memory)


@pytest.mark.ray
def test_case_1_kill_9_under_ray_leaves_no_process(started, spec, tmp_path):
    """Ray's processes end with the driver, and the search can be resumed."""
    memory = set(_shared_memory())
    process = _begun(started, spec, tmp_path, engine="ray")
    family = psutil.Process(process.pid).children(recursive=True)
    assert _stopped(process, signal.SIGKILL)[0] == -signal.SIGKILL
    _check_gone(family, memory, seconds=100)  # two agents of Ray wait a minute for its head
    assert [f.remedy for f in examine(tmp_path / "small").findings] == [
        f"biomarl-tune resume {tmp_path / 'small'}"
    ]


def _check_gone(family, memory, seconds=10):
    _, alive = psutil.wait_procs(family, timeout=seconds)
    assert [_words(process) for process in alive] == []
    assert set(_shared_memory()) <= memory


def _shared_memory():
    return [path.name for path in Path("/dev/shm").glob("*plasma*")]  # noqa: S108 - Ray's


def _words(process):
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []
