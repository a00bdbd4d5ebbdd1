from __future__ import annotations

import sqlite3

import pytest

from biomarl_tune.errors import InputError
from biomarl_tune.search.examination import examine
from biomarl_tune.search.study import Study


@pytest.fixture
def run(study):
    """A search with a complete, a pruned and a failed trial, and one under way."""
    for _ in range(4):
        study.suggest()
    for number, iterations in ((0, 4), (1, 1), (3, 2)):
        for iteration in range(1, iterations + 1):
            scalars = {"episode_return_mean": float(number + iteration)}
            study.report(number, iteration, scalars, seconds=1.0)
    study.finish(0, "COMPLETE", "all iterations done")
    study.finish(1, "PRUNED", "asha")
    study.finish(2, "FAILED", "ValueError")
    return study


def _sql(run, statement):
    with sqlite3.connect(run.directory.database) as connection:
        connection.execute(statement)
    connection.close()


def _kill(run):
    run._record.close()
    run._lock.close()


def test_a_running_search_is_healthy(run):
    """The process that runs it is named, and its trials are not orphans."""
    found = examine(run.directory.path)

    assert (found.findings, found.state) == ((), "running")
    assert found.holder.isdigit()
    assert found.trials == {"COMPLETE": 1, "PRUNED": 1, "FAILED": 1, "RUNNING": 1}


def test_an_interrupted_search_is_healthy(run):
    """Its last trial waits."""
    run.close()

    found = examine(run.directory.path)

    assert (found.findings, found.state, found.requested) == ((), "interrupted", 6)


def test_a_killed_search_is_not(run):
    """Its running trial has nobody who runs it; resume is the remedy."""
    _kill(run)

    (finding,) = examine(run.directory.path).findings

    assert "running trials (3), but no process" in finding.what
    assert finding.remedy == f"biomarl-tune resume {run.directory.path}"


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM reports WHERE number = 0 AND iteration = 2", "of iterations [1, 3, 4]"),
        ("UPDATE reports SET number = 9 WHERE number = 3", "reports of trial 9, but no such"),
        ("UPDATE trial_intermediate_values SET intermediate_value = 0.5", "Optuna's values of"),
        ("UPDATE trial_values SET value = 77.0", "ended with [77.0], which it did not report"),
        ("UPDATE trials SET state = 'COMPLETE' WHERE number = 1", "COMPLETE after 1 of 4"),
        ("UPDATE reports SET scalars = '{}' WHERE number = 3", "without a finite"),
    ],
)
def test_what_does_not_fit_together_is_told(run, statement, told):
    """With what is wrong and what to do."""
    run.close()
    _sql(run, statement)

    found = examine(run.directory.path)

    assert not found.healthy
    assert any(told in finding.what for finding in found.findings)
    assert all(finding.remedy for finding in found.findings)


def test_a_changed_spec_and_stray_folders_are_told(run):
    """A trial's folder that the record does not know, a checkpoint that was never finished."""
    run.close()
    run.directory.spec.write_text("name: other")
    (run.directory.trial(17)).mkdir(parents=True)
    (run.directory.trial(3) / "checkpoints" / ".writing-000001-9").mkdir(parents=True)

    told = " ".join(finding.what for finding in examine(run.directory.path).findings)

    assert "was changed since" in told
    assert "trials/17 is of no trial" in told
    assert ".writing-000001-9 was never finished" in told


def test_settings_that_repeat_are_counted(run):
    """They are no fault: a small space runs out of new ones."""
    settings = run.trials()[3].settings
    run.close()
    _sql(
        run,
        "UPDATE trial_user_attributes SET value_json = (SELECT value_json FROM "
        "trial_user_attributes WHERE key = 'settings' AND trial_id = 4) "
        "WHERE key = 'settings' AND trial_id = 3",
    )

    found = examine(run.directory.path)

    assert found.repeated == 1
    with Study.open(run.directory.path, read_only=True) as study:
        assert study.trials()[2].settings == settings


def test_what_cannot_be_read_is_a_finding_and_what_is_no_run_an_error(run, tmp_path):
    """A damaged database has a remedy; a folder without one is the user's mistake."""
    run.close()
    run.directory.database.write_bytes(b"x" * 9000)

    found = examine(run.directory.path)

    assert (found.state, found.healthy) == ("unreadable", False)
    with pytest.raises(InputError, match="is no run directory"):
        examine(tmp_path)
