"""A search from its file to its verdict, with the local engine and with Ray."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from biomarl_tune import Search, load_evaluation, load_metrics, load_trials, run
from biomarl_tune.analysis.verdict import verdict_lines
from biomarl_tune.errors import EngineError, NoUsableTrialError
from biomarl_tune.ppo.checkpoint import verify_checkpoint
from biomarl_tune.reevaluation import evaluate_run
from biomarl_tune.scalars import SCALARS
from biomarl_tune.search.study import Study

SPACES = Path(__file__).parents[1] / "search_spaces"

TRIALS = [
    "number", "state", "value", "params.env.pheromone_decay", "params.model.memory_dim",
    "iterations", "agent_steps", "seconds", "cpu_seconds", "stopped_because", "checkpoint", "error",
]  # fmt: skip
METRICS = ["number", "seed", "iteration", "agent_steps", "seconds"]
EVALUATION = ["number", "seed", "episode", "return", "deliveries", "length", "breakthroughs"]


def _command(*arguments):
    return [sys.executable, "-m", "biomarl_tune.cli", *map(str, arguments)]


def _wait_for_reports(directory, count, process):
    """Return when the record holds so many reports; fail if the process ends before."""
    for _ in range(1200):
        if (directory / "study.db").is_file() and len(load_metrics(directory)) >= count:
            return
        assert process.poll() is None, "the search ended too early"
        time.sleep(0.05)
    pytest.fail("no reports within a minute")


def test_the_run_directory_holds_what_is_promised(small_run):
    """File by file; nothing else lies about but what SQLite keeps for those who read."""
    top = {path.name for path in small_run.directory.iterdir()} - {"study.db-wal", "study.db-shm"}

    assert top == {
        "spec.yaml", "experiment.json", "study.db", "trials", "trials.parquet", "metrics.parquet",
        "evaluation.parquet", "report.html", "run.log", "lock",
    }  # fmt: skip
    for number in range(5):
        trial = small_run.directory / "trials" / str(number)
        files = sorted(path.name.partition(".tfevents")[0] for path in trial.iterdir())
        assert files == ["checkpoints", "events.out", "progress.csv"]
    experiment = json.loads((small_run.directory / "experiment.json").read_text())
    assert experiment["env"]["num_agents"] == 4
    assert "{uniform: [0.2, 0.9]}" in (small_run.directory / "spec.yaml").read_text()


def test_the_tables_have_the_promised_columns_first(small_run):
    """In the documented order; new ones may follow."""
    tables = [
        pd.read_parquet(small_run.directory / f"{name}.parquet")
        for name in ("trials", "metrics", "evaluation")
    ]

    assert list(tables[0].columns)[: len(TRIALS)] == TRIALS
    assert list(tables[1].columns)[: len(METRICS)] == METRICS
    assert set(SCALARS) <= set(tables[1].columns)
    assert list(tables[2].columns)[: len(EVALUATION)] == EVALUATION


def test_the_tables_agree_with_the_record(small_run):
    """Files, loaders, and the value of a trial at its last report."""
    trials, metrics = load_trials(small_run.directory), load_metrics(small_run.directory)

    pd.testing.assert_frame_equal(
        trials, pd.read_parquet(small_run.directory / "trials.parquet"), check_dtype=False
    )
    last = metrics.groupby("number").last()
    assert trials["value"].tolist() == last["episode_return_mean"].tolist()
    assert trials["iterations"].tolist() == last["iteration"].tolist()
    for _, rows in metrics.groupby(["number", "seed"]):
        assert rows["iteration"].tolist() == list(range(1, len(rows) + 1))


def test_the_progress_table_holds_a_trials_reports(small_run):
    """progress.csv of a trial is its part of metrics.parquet."""
    metrics = load_metrics(small_run.directory)
    mine = metrics[metrics["number"] == 1]

    table = pd.read_csv(small_run.directory / "trials" / "1" / "progress.csv")

    assert set(table.columns) == {
        "seed",
        "iteration",
        "seconds",
        "cpu_seconds",
        "checkpoint",
    } | set(SCALARS)
    for name in ("iteration", "seconds", *SCALARS):
        assert table[name].tolist() == mine[name].tolist()


def test_the_named_checkpoints_are_there_and_whole(small_run):
    """Each trial's newest one, by the path in the table."""
    named = load_trials(small_run.directory)["checkpoint"]
    faults = [verify_checkpoint(small_run.directory / checkpoint) for checkpoint in named]
    assert len(faults) == 5


def test_tensorboard_reads_the_named_scalars_back(small_run):
    """Every scalar at every iteration, and nothing else but the hyper-parameters."""
    metrics = load_metrics(small_run.directory)
    mine = metrics[metrics["number"] == 0]

    events = EventAccumulator(str(small_run.directory / "trials" / "0"))
    events.Reload()

    assert set(SCALARS) <= set(events.Tags()["scalars"])
    for name in SCALARS:
        read = events.Scalars(name)
        assert [event.step for event in read] == mine["iteration"].tolist()
        assert [event.value for event in read] == pytest.approx(mine[name].tolist(), rel=1e-6)


def test_the_hparams_tab_shows_settings_and_result(small_run):
    """The searched settings of a trial under their dotted names."""
    events = EventAccumulator(str(small_run.directory / "trials" / "0"))
    events.Reload()

    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    found = HParamsPluginData.FromString(content).session_start_info.hparams

    assert found["env.pheromone_decay"].number_value == 0.95
    assert found["model.memory_dim"].number_value == 16
    assert found["state"].string_value == "COMPLETE"


def test_the_evaluation_replays_the_best_the_defaults_and_a_random_policy(small_run):
    """On the same seeds, whole episodes."""
    evaluation = load_evaluation(small_run.directory)

    assert sorted(evaluation["number"].unique())[:2] == [-2, -1]
    assert evaluation["number"].nunique() == 4
    for _, rows in evaluation.groupby("number"):
        assert list(zip(rows["seed"], rows["episode"], strict=True)) == [
            (0, 0),
            (0, 1),
            (1, 0),
            (1, 1),
        ]
    assert set(evaluation["length"]) == {40}


def test_the_verdict_is_printed_and_returned(small_run):
    """The last lines, and where everything is."""
    *said, where = small_run.said.splitlines()

    assert where == f"Everything is in {small_run.directory}"
    lines = verdict_lines(small_run.result.verdict)
    assert said[-len(lines) :] == lines


def test_the_log_has_a_line_with_its_time_for_each_event(small_run):
    """Start and end of each trial, and the verdict."""
    lines = (small_run.directory / "run.log").read_text().splitlines()

    assert all(pd.Timestamp(line[:19]) is not pd.NaT for line in lines)
    for number in range(5):
        assert sum(f" INFO trial {number}: " in line for line in lines) == 2


def test_a_search_again_finds_the_same(small_run, space_file, tmp_path, capsys):
    """Same file, same seed: the same proposals and the same returns."""
    again = Search.load(space_file).run(tmp_path, engine="local")
    capsys.readouterr()

    names = ["params.env.pheromone_decay", "params.model.memory_dim", "value", "state"]
    pd.testing.assert_frame_equal(again.trials[names], small_run.result.trials[names])
    pd.testing.assert_frame_equal(again.evaluation, small_run.result.evaluation)


def test_fresh_takes_the_next_free_name(space_file, tmp_path, capsys, monkeypatch):
    """small, then small-2."""
    (tmp_path / "results" / "small").mkdir(parents=True)
    monkeypatch.setattr(run, "_run", lambda study, _engine: study.spec.name)

    name = Search.load(space_file).run(tmp_path / "results", fresh=True, engine="local")

    assert name == "small-2"
    assert (tmp_path / "results" / "small-2" / "study.db").is_file()


def test_a_search_whose_trials_all_fail_ends_early(space_file, tmp_path, capsys):
    """After three alike; the message names the reason, and the record keeps it."""
    text = space_file.read_text().replace("learning_rate: 0.01", "learning_rate: 1.0")
    space_file.write_text(text.replace("num_agents: 4", "num_agents: 4, delivery_reward: 1.0e+200"))

    with pytest.raises(NoUsableTrialError, match="the first trials all failed"):
        Search.load(space_file).run(tmp_path / "results", engine="local")

    trials = load_trials(tmp_path / "results" / "small")
    assert trials["state"].tolist() == ["FAILED"] * 3
    assert trials["value"].isna().all()
    assert trials["error"].str.len().min() > 0
    capsys.readouterr()


def test_auto_goes_on_without_ray_where_it_cannot_start(space_file, tmp_path, capsys, monkeypatch):
    """With one line that says so; `ray` refuses."""

    def fail(_cpus):
        msg = "Ray cannot start: no shared memory; try --engine local"
        raise EngineError(msg)

    monkeypatch.setattr("biomarl_tune.search.cluster.ray_started", fail)

    result = Search.load(space_file).run(tmp_path / "auto")
    said = capsys.readouterr().out

    assert result.trials["state"].isin(["COMPLETE", "PRUNED"]).all()
    assert said.count("Ray cannot start: no shared memory") == 1
    assert "one trial at a time" in said
    with pytest.raises(EngineError, match="no shared memory"):
        Search.load(space_file).run(tmp_path / "ray", engine="ray")


def test_an_evaluation_can_be_repeated_with_other_numbers(small_run, tmp_path):
    """On a copy of the run, wherever it lies; its table is replaced."""
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", small_run.directory, copy], check=True)

    result = evaluate_run(copy, top=1, seeds=3, episodes=1)

    assert result.evaluation["number"].unique().tolist()[1:] == [-1, -2]
    assert result.evaluation.groupby("number").size().tolist() == [3, 3, 3]
    pd.testing.assert_frame_equal(load_evaluation(copy), result.evaluation, check_dtype=False)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_cleanly_and_resume_goes_on(space_file, tmp_path, number, code):
    """What was under way waits with a checkpoint, and the resumed search ends as one in peace."""
    space_file.write_text(
        space_file.read_text()
        .replace("scheduler: asha, max_iterations: 4", "scheduler: none, max_iterations: 12")
        .replace("trials: 5", "trials: 1")
        .replace("train_batch_size: 800", "train_batch_size: 4000")
    )
    directory = tmp_path / "results" / "small"
    with subprocess.Popen(
        _command("run", space_file, "--results", directory.parent, "--engine", "local"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        _wait_for_reports(directory, 2, process)
        process.send_signal(number)
        _, told = process.communicate(timeout=60)

    assert process.returncode == code
    assert told == f"biomarl-tune: stopped; go on with: biomarl-tune resume {directory}\n"
    before = load_trials(directory)
    assert before["state"].tolist() == ["WAITING"]
    assert before["checkpoint"].tolist() == [
        f"trials/0/checkpoints/iteration-{before['iterations'][0]:06d}"
    ]

    run.resume_run(directory, engine="local")

    after = load_trials(directory)
    assert after["state"].tolist() == ["COMPLETE"]
    assert after["iterations"].tolist() == [12]
    assert load_metrics(directory).groupby("number")["iteration"].apply(list).tolist() == [
        list(range(1, 13))
    ]
    with Study.open(directory, read_only=True) as study:
        assert len(study.reports()) == 12


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_smoke_with_ray_killed_and_resumed(tmp_path):
    """The shipped smoke search: kill -9 in its middle loses nothing, and resume ends it."""
    directory = tmp_path / "smoke"
    with subprocess.Popen(
        _command("run", SPACES / "smoke.yaml", "--results", tmp_path, "--engine", "ray"),
        stdout=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        _wait_for_reports(directory, 3, process)
        process.kill()
    before = load_metrics(directory)

    done = subprocess.run(
        _command("resume", directory, "--engine", "ray"),
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert "Everything is in" in done.stdout
    trials, metrics = load_trials(directory), load_metrics(directory)
    assert trials["number"].tolist() == [0, 1, 2, 3]
    assert set(trials["state"]) <= {"COMPLETE", "PRUNED"}
    assert len(metrics) >= len(before)
    assert not metrics.duplicated(["number", "seed", "iteration"]).any()
    assert sorted(path.name for path in (directory / "attempts").iterdir()) == ["1", "2"]
    assert set(load_evaluation(directory)["number"]) >= {-1, -2}
    events = EventAccumulator(str(directory / "trials" / "0"))
    events.Reload()
    assert len(events.Scalars("episode_return_mean")) == trials["iterations"][0]
