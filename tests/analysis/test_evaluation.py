"""Replays on held-out seeds."""

from __future__ import annotations

import errno
import shutil

import numpy as np
import pandas as pd
import pytest

from biomarl_tune import evaluate
from biomarl_tune.analysis.evaluation import (
    DEFAULTS,
    HELD_OUT,
    RANDOM,
    Stage,
    best_trials,
    defaults_checkpoints,
    replay_checkpoint,
    replay_random,
)
from biomarl_tune.errors import CheckpointError, NoUsableTrialError, StorageError
from biomarl_tune.experiment import Experiment, setting_fields
from biomarl_tune.ppo.checkpoint import latest_checkpoint
from biomarl_tune.search.spec import parse_spec
from biomarl_tune.search.study import Study


@pytest.fixture
def copy(small_run, tmp_path):
    """A copy of the small run that may be changed."""
    return shutil.copytree(small_run.directory, tmp_path / "copy")


def test_held_out_seeds_are_above_every_training_seed():
    """So that they are disjoint by construction."""
    (bound,) = (b.le for b in setting_fields()["seed"].metadata if hasattr(b, "le"))

    assert bound < HELD_OUT


def test_the_best_are_complete_ones_by_value_then_pruned_ones(small_run):
    """A pruned trial joins only when complete ones are too few."""
    with Study.open(small_run.directory, read_only=True) as study:
        chosen = best_trials(study, 4)

    states = [trial.state for trial in chosen]
    assert states == sorted(states)
    for state in ("COMPLETE", "PRUNED"):
        values = [t.last.value("episode_return_mean") for t in chosen if t.state == state]
        assert values == sorted(values, reverse=True)


def test_a_replay_needs_the_checkpoint_alone_and_repeats_itself(small_run, tmp_path):
    """The settings are in it, and the seeds say all the rest."""
    there = latest_checkpoint(small_run.directory / "trials" / "0" / "checkpoints")
    alone = shutil.copytree(there, tmp_path / there.name)
    stage = Stage(top=1, seeds=2, episodes_per_seed=1)

    frames = [replay_checkpoint(path, 0, stage) for path in (there, alone)]

    pd.testing.assert_frame_equal(*frames)
    assert frames[0]["seed"].tolist() == [0, 1]


def test_a_seed_gives_the_same_episode_in_any_company(small_run):
    """More seeds add rows and change none."""
    path = latest_checkpoint(small_run.directory / "trials" / "0" / "checkpoints")

    few = replay_checkpoint(path, 0, Stage(1, 1, 2))
    many = replay_checkpoint(path, 0, Stage(1, 3, 2))

    pd.testing.assert_frame_equal(few, many[many["seed"] == 0])


def test_greedy_takes_the_likeliest_moves(small_run):
    """So another world unfolds than with sampled ones."""
    path = latest_checkpoint(small_run.directory / "trials" / "0" / "checkpoints")

    sampled, greedy = (
        replay_checkpoint(path, 0, Stage(1, 2, 1, greedy=greedy)) for greedy in (False, True)
    )

    assert not np.array_equal(sampled["return"], greedy["return"])


def test_a_random_policy_delivers_little():
    """On the default lattice an agent that drifts finds food and nest by chance."""
    frame = replay_random(
        Experiment().with_settings({"env.num_agents": 4, "model.hidden_dim": 8}),
        Stage(top=1, seeds=2, episodes_per_seed=1),
    )

    assert frame["number"].tolist() == [RANDOM, RANDOM]
    assert 0 < frame["deliveries"].mean() < 60
    assert frame["length"].tolist() == [500, 500]


def test_a_complete_trial_that_ran_the_defaults_stands_for_them(small_run):
    """Nothing is trained again."""
    said = []
    with Study.open(small_run.directory, read_only=True) as study:
        found = defaults_checkpoints(study, 4, said.append)[0]

    assert found == small_run.directory / "trials" / "0" / "checkpoints" / "iteration-000004"
    assert said == []


def test_without_one_the_defaults_are_trained_as_long_as_the_winner_and_once(copy):
    """Outside the study, in trials/defaults."""
    said = []
    with Study.open(copy) as study:
        ran_them, *_ = study.trials()
        study.trials = lambda: [t for t in Study.trials(study) if t.number != ran_them.number]
        first = defaults_checkpoints(study, 2, said.append)[0]
        again = defaults_checkpoints(study, 2, said.append)[0]

    assert first == again == copy.absolute() / "trials/defaults/checkpoints/iteration-000002"
    assert said == ["training the defaults for 2 iterations, to compare with"]


def test_a_full_disk_under_the_defaults_is_told_as_such(copy, monkeypatch):
    """What the disk said ends the evaluation; it can be asked for again."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("biomarl_tune.ppo.trial.save_checkpoint", full)
    with Study.open(copy) as study:
        study.trials = list

        with pytest.raises(StorageError, match="No space left on device"):
            defaults_checkpoints(study, 1, print)


def test_evaluate_returns_rows_and_leaves_the_table_alone(copy):
    """The run's own evaluation.parquet stays as it is."""
    before = (copy / "evaluation.parquet").read_bytes()

    frame = evaluate(copy, top=1, seeds=2, episodes=1)

    assert frame["number"].unique()[1:].tolist() == [DEFAULTS, RANDOM]
    assert len(frame) == 6
    assert (copy / "evaluation.parquet").read_bytes() == before


def test_a_damaged_checkpoint_is_refused(copy):
    """It is named, and nothing is replayed from it."""
    for file in copy.glob("trials/*/checkpoints/*/weights.safetensors"):
        file.write_bytes(b"x" + file.read_bytes()[1:])

    with pytest.raises(CheckpointError, match=r"weights\.safetensors differs from the manifest"):
        evaluate(copy, top=1, seeds=1, episodes=1)


def test_a_run_without_a_usable_trial_is_refused(tmp_path):
    """There is nothing to replay."""
    text = "name: a\nspace: {env.pheromone_decay: {uniform: [0.2, 0.9]}}"
    Study.create(tmp_path, parse_spec(text), text).close()

    with pytest.raises(NoUsableTrialError, match="no trial left a usable checkpoint"):
        evaluate(tmp_path / "a")
