"""Cases 6 to 11: processes of a search under Ray that are killed, hang or run out of memory."""

from __future__ import annotations

import contextlib
import signal
import time

import psutil
import pytest
from conftest import COMMAND, until

from biomarl_tune.search.examination import examine
from biomarl_tune.search.study import Study

pytestmark = [pytest.mark.faults, pytest.mark.ray, pytest.mark.timeout(400)]


def _family(process, name):
    """Return the processes of a search whose title or command begins with, or holds, a name."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if name in " ".join(child.cmdline()):
                found.append(child)
    return found


def _wait_for_reports(run, count, seconds=90):
    """Wait until a search has recorded so many reports."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(Exception), Study.open(run, read_only=True) as study:
            if len(study.reports()) >= count:
                return
        time.sleep(0.3)
    message = f"{run}: fewer than {count} reports after {seconds} seconds"
    raise AssertionError(message)


def _begun(started, spec, tmp_path, *, environment=None, **settings):
    words = [*COMMAND, "run", spec(**settings), "--results", tmp_path, "--engine", "ray"]
    process = started(*words, environment=environment or {})
    until(process, "trial 0: starts")
    return process, tmp_path / "small"


def _ended(process, run, code=0):
    _, said = process.communicate(timeout=200)
    log = (run / "run.log").read_text()[-3000:]
    assert process.returncode == code, said + log
    return said


def _trials(run):
    with Study.open(run, read_only=True) as study:
        return study.trials()


def test_case_6_a_killed_trial_process_goes_on_from_its_checkpoint(started, spec, tmp_path):
    """It is started again, does not begin anew, and no report is there twice."""
    process, run = _begun(started, spec, tmp_path, trials=1, iterations=40, batch=4000)
    _wait_for_reports(run, 5)
    _family(process, "ray::BioPPO")[0].kill()
    _ended(process, run)
    (trial,) = _trials(run)
    assert (trial.state, trial.iteration) == ("COMPLETE", 40)
    with Study.open(run, read_only=True) as study:
        redone = max(report.sequence for report in study.reports()) - 40
    assert redone < 40 - 3  # rungs at 1, 3, 9, 27 have checkpoints
    assert examine(run).findings == ()


def test_case_7_a_killed_env_runner_is_replaced(started, spec, tmp_path):
    """The trial goes on with the runner that was started in its place."""
    settings = {"trials": 1, "iterations": 40, "batch": 8000, "runners": True}
    process, run = _begun(started, spec, tmp_path, **settings)
    _wait_for_reports(run, 3)
    _family(process, "ray::ColonyEnvRunner")[0].kill()
    _ended(process, run)
    (trial,) = _trials(run)
    assert (trial.state, trial.iteration) == ("COMPLETE", 40)


def test_case_15_a_hanging_iteration_fails_its_trial_alone(started, spec, tmp_path):
    """Its process is killed at the limit; the next trial runs."""
    settings = {"trials": 2, "iterations": 30, "batch": 8000, "limit": 8}
    process, run = _begun(started, spec, tmp_path, **settings)
    _wait_for_reports(run, 2)
    _family(process, "ray::BioPPO")[0].send_signal(signal.SIGSTOP)
    _ended(process, run)
    first, second = _trials(run)
    assert first.state == "FAILED"
    assert "took longer than 8 seconds" in first.stopped_because
    assert second.state == "COMPLETE"


@pytest.mark.parametrize("name", ["gcs_server", "raylet/raylet"])
def test_case_10_a_lost_ray_ends_the_search_resumably(started, spec, tmp_path, name):
    """Exit 5 within a minute, with a record that the local engine goes on with."""
    process, run = _begun(started, spec, tmp_path, trials=1, iterations=2000, batch=8000)
    _wait_for_reports(run, 2)
    begin = time.monotonic()
    _family(process, name)[0].kill()
    said = _ended(process, run, code=5)
    assert time.monotonic() - begin < 60
    assert "Ray was lost" in said
    found = examine(run)
    assert (found.findings, found.state) == ((), "interrupted")


def test_case_11_a_trial_that_runs_out_of_memory_has_failed_for_that(started, spec, tmp_path):
    """Ray's memory monitor kills its process; the reason says so."""
    environment = {"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "200"}
    process, run = _begun(
        started, spec, tmp_path, environment=environment, trials=1, iterations=2000, batch=8000
    )
    _ended(process, run, code=4)
    (trial,) = _trials(run)
    assert trial.state == "FAILED"
    assert "out of memory" in trial.stopped_because
