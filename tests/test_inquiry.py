"""The commands that look at a finished search, from the command line."""

from __future__ import annotations

import io
import json
import shutil

import pandas as pd
import pytest
from typer.testing import CliRunner

from biomarl_tune.cli import app
from biomarl_tune.errors import InputError
from biomarl_tune.run import Search

SEARCH_SPACE = """\
name: asked
experiment:
  env: {num_agents: 4, grid_size: [2, 2, 2], max_episode_steps: 12, patch_units: 4}
  model: {hidden_dim: 8, memory_dim: 4, message_dim: 4}
  ppo: {train_batch_size: 96, minibatch_size: 48, rollout_steps: 6, num_epochs: 1}
space:
  env.pheromone_decay: {uniform: [0.2, 0.9]}
search: {trials: 2}
stopping: {scheduler: none, max_iterations: 1}
evaluation: {top: 2, seeds: 3, episodes_per_seed: 1}
"""


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A search of two trials."""
    folder = tmp_path_factory.mktemp("asked")
    file = folder / "asked.yaml"
    file.write_text(SEARCH_SPACE)
    return Search.load(file).run(folder / "results", engine="local").directory


def invoke(*arguments):
    """Run a command and return what it printed."""
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_ablate_prints_data_and_keeps_them(run_dir):
    """JSON holds a row a part, and the report shows them from then on."""
    data = json.loads(invoke("ablate", run_dir, "--json"))

    assert {row["off"] for row in data["parts"]} >= {"nothing", "pheromone", "messages"}
    assert len(data["words"]) == len(data["parts"]) - 1
    assert len(pd.read_parquet(run_dir / "ablation.parquet")) == 3 * len(data["parts"])
    assert "Without pheromone" in (run_dir / "report.html").read_text()


def test_ablate_prints_a_table(run_dir):
    """For people: a row a part and a sentence a part."""
    text = invoke("ablate", run_dir, "--seeds", "2")

    assert "messages off" in text
    assert "Without messages" in text


def test_vary_prints_the_matrix(run_dir):
    """Both trials and the defaults in four worlds, with the worst case of each."""
    options = ("--vary", "num_agents=6", "--vary", "drop_agents=0.5", "--seeds", "2")

    text = invoke("evaluate", run_dir, *options)
    table = pd.read_csv(io.StringIO(invoke("evaluate", run_dir, *options, "--csv")))

    assert text.count("Worst case of") == 3
    assert len(table) == 3 * 4
    assert set(table["agents"]) == {2, 3, 4, 6}
    assert "Worst case of defaults" in (run_dir / "report.html").read_text()


def test_evaluate_prints_csv(run_dir):
    """One row an episode."""
    table = pd.read_csv(io.StringIO(invoke("evaluate", run_dir, "--csv")))

    assert set(table["number"]) == {0, 1, -1, -2}
    assert len(table) == 4 * 3


def test_trials_print_csv(run_dir):
    """The table of trials, as it is on the disk."""
    table = pd.read_csv(io.StringIO(invoke("trials", run_dir, "--csv")))

    assert sorted(table["number"]) == [0, 1]
    assert "params.env.pheromone_decay" in table


def test_two_formats_at_once_are_refused(run_dir):
    """JSON or CSV, not both."""
    with pytest.raises(InputError, match="only one of them"):
        invoke("trials", run_dir, "--json", "--csv")


def test_compare_tells_a_run_from_itself(run_dir, tmp_path):
    """A copy is not distinguishable from its original; another world is said to be one."""
    copy = shutil.copytree(run_dir, tmp_path / "copy")

    data = json.loads(invoke("compare", run_dir, copy, "--json"))

    assert data["first_is"] == "same"
    assert data["difference"]["estimate"] == 0.0
    assert data["settings"] == {}
    assert "not distinguishable" in invoke("compare", run_dir, copy)


def test_what_was_not_evaluated_cannot_be_asked(run_dir, tmp_path):
    """The message says which command comes first."""
    copy = shutil.copytree(run_dir, tmp_path / "copy")
    (copy / "evaluation.parquet").unlink()

    with pytest.raises(InputError, match="run biomarl-tune evaluate"):
        invoke("ablate", copy)


def test_replay_writes_the_winner(run_dir, tmp_path):
    """A run's page goes into the run; a checkpoint's goes where it is told to."""
    checkpoint = next((run_dir / "trials" / "0" / "checkpoints").glob("iteration-*"))

    invoke("replay", run_dir, "--episodes", "2")
    invoke("replay", checkpoint, "--html", tmp_path / "one.html", "--gif", tmp_path / "one.gif")

    assert '"episode":1' in (run_dir / "replay.html").read_text()
    assert (tmp_path / "one.gif").read_bytes().startswith(b"GIF8")
    assert "0/iteration-000001" in (tmp_path / "one.html").read_text()


def test_replay_of_something_else_is_refused(tmp_path):
    """A folder that is neither a run nor a checkpoint is named."""
    with pytest.raises(InputError, match="neither a checkpoint"):
        invoke("replay", tmp_path)


def test_report_is_written_again(run_dir):
    """From what is there, at any time."""
    (run_dir / "report.html").unlink()

    assert "report.html" in invoke("report", run_dir)
    assert (run_dir / "report.html").is_file()
