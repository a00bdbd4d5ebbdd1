"""One training run without a search."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from biomarl_tune import Experiment, cli, train
from biomarl_tune.errors import InputError, RunExistsError, StorageError, TrialError
from biomarl_tune.ppo.checkpoint import load_weights
from biomarl_tune.ppo.local import LocalTrainer
from biomarl_tune.scalars import SCALARS

SMALL = Experiment().with_settings(
    {
        "env.num_agents": 3,
        "ppo.train_batch_size": 300,
        "ppo.minibatch_size": 150,
        "model.hidden_dim": 8,
    }
)


def test_training_returns_metrics_history_and_checkpoint(tmp_path):
    """And leaves them in the folder, with events for TensorBoard."""
    seen = []

    result = train(SMALL, iterations=3, directory=tmp_path / "t", observe=seen.append)

    assert result.history["iteration"].tolist() == [1, 2, 3]
    assert set(SCALARS) <= set(result.history.columns)
    assert result.metrics == seen[-1]
    assert load_weights(result.checkpoint)[0] == SMALL
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "t" / "metrics.parquet"), result.history
    )
    assert list((tmp_path / "t").glob("events.out.tfevents.*"))


def test_a_full_disk_is_told_as_such(tmp_path, monkeypatch):
    """Training ends with what the disk said, and not with what came of it."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("biomarl_tune.ppo.trial.save_checkpoint", full)

    with pytest.raises(StorageError, match="No space left on device"):
        train(SMALL, iterations=1, directory=tmp_path / "t")


def test_the_same_experiment_trains_the_same(tmp_path):
    """All randomness comes from its seed."""
    names = [name for name in SCALARS if "seconds" not in name and "second" not in name]

    runs = [train(SMALL, iterations=2, directory=tmp_path / name) for name in "ab"]

    left, right = (run.history[[n for n in names if n != "rss_mb"]] for run in runs)
    pd.testing.assert_frame_equal(left, right)


def test_a_taken_folder_is_refused(tmp_path):
    """Nothing in it is touched."""
    with pytest.raises(RunExistsError, match="is there already; give another --name"):
        train(SMALL, directory=tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"iterations": 0}, "iterations: must be at least 1, got 0"),
        ({"engine": "spark"}, "use local or ray"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_written(tmp_path, arguments, message):
    """Named, with what would do."""
    with pytest.raises(InputError, match=message):
        train(SMALL, directory=tmp_path / "t", **arguments)

    assert not (tmp_path / "t").exists()


def test_a_training_that_cannot_go_on_says_why(tmp_path, monkeypatch):
    """The traceback is in a file, the reason in the message."""

    def fail(_trainer):
        msg = "kl: not finite, got nan"
        raise TrialError(msg)

    monkeypatch.setattr(LocalTrainer, "train_iteration", fail)

    with pytest.raises(TrialError, match=r"kl: not finite.*the traceback is in .*error\.txt"):
        train(SMALL, iterations=2, directory=tmp_path / "t")

    assert "Traceback" in (tmp_path / "t" / "error.txt").read_text()


def test_the_command_takes_a_file_and_assignments(tmp_path, monkeypatch, capsys):
    """The assignments win; --json prints the last report alone on stdout."""
    file = tmp_path / "e.yaml"
    file.write_text(
        "env: {num_agents: 9}\nmodel: {hidden_dim: 8}\n"
        "ppo: {train_batch_size: 300, minibatch_size: 150}\n"
    )
    arguments = ["--iterations", "1", "--results", str(tmp_path), "--name", "t", "--json"]
    monkeypatch.setattr(
        sys, "argv", ["biomarl-tune", "train", str(file), "--set", "env.num_agents=3", *arguments]
    )

    with pytest.raises(SystemExit) as end:
        cli.main()

    out, err = capsys.readouterr()
    report = json.loads(out)
    assert not end.value.code
    assert report["agent_steps"] == 300
    assert err.startswith("iteration 1/1: return ")
    assert load_weights(Path(report["checkpoint"]))[0].env.num_agents == 3


@pytest.mark.parametrize(
    ("assignment", "message"),
    [("env.num_agents", "must be NAME=VALUE"), ("env.agents=3", "did you mean env.num_agents?")],
)
def test_a_wrong_assignment_is_refused(tmp_path, monkeypatch, capsys, assignment, message):
    """In one line, with exit code 2."""
    monkeypatch.setattr(sys, "argv", ["biomarl-tune", "train", "--set", assignment])
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as end:
        cli.main()

    assert end.value.code == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
