from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from biomarl_tune.analysis.trials import (
    EVALUATION_COLUMNS,
    load_evaluation,
    load_metrics,
    load_trials,
    write_table,
    write_tables,
)
from biomarl_tune.errors import InputError, StorageError
from biomarl_tune.scalars import SCALARS
from biomarl_tune.search.spec import parse_spec
from biomarl_tune.search.study import Study

SEARCH_SPACE = """\
name: tables
space:
  env.grid_size: {choice: [[4, 3, 3], [6, 6, 4]]}
  model.plasticity: {choice: [true, false]}
  model.memory_dim: {choice: [8, 16], when: {model.plasticity: true}}
search: {trials: 4, start_with: [{}, {model.plasticity: false}]}
stopping: {max_iterations: 2}
"""


@pytest.fixture
def study(tmp_path):
    """A search with a complete, a failed and a running trial."""
    with Study.create(tmp_path, parse_spec(SEARCH_SPACE), SEARCH_SPACE) as opened:
        for number in range(3):
            opened.suggest()
            scalars = {"episode_return_mean": 10.0 + number, "agent_steps": 100, "kl": math.nan}
            opened.report(number, 1, scalars, seconds=1.5, cpu_seconds=2.5, checkpoint="c/1")
        scalars = {"episode_return_mean": 12.0, "agent_steps": 200}
        opened.report(0, 2, scalars, seconds=3.0, cpu_seconds=5.0, checkpoint="c/2")
        opened.finish(0, "COMPLETE", "max_iterations")
        opened.finish(1, "FAILED", "crash", "Traceback")
        yield opened


def test_trials_have_the_documented_columns(study):
    """One row a trial, in the order of the docstring, while the search still runs."""
    table = load_trials(study.directory.path)

    assert list(table.columns) == [
        "number",
        "state",
        "value",
        "params.env.grid_size",
        "params.model.plasticity",
        "params.model.memory_dim",
        "iterations",
        "agent_steps",
        "seconds",
        "cpu_seconds",
        "stopped_because",
        "checkpoint",
        "error",
        "start",
        "why",
        "audited",
        "value_per_million_agent_steps",
        "value_per_cpu_second",
    ]
    assert list(table["state"]) == ["COMPLETE", "FAILED", "RUNNING"]
    assert list(table["iterations"]) == [2, 1, 1]


def test_trials_hold_what_was_recorded(study):
    """The value is that of the last report; a failed trial has none."""
    first, second, third = load_trials(study.directory.path).to_dict("records")

    assert first["value"] == 12.0
    assert math.isnan(second["value"])
    assert third["value"] == 12.0
    assert first["params.env.grid_size"] == "[4, 3, 3]"
    assert first["params.model.memory_dim"] == 16
    assert pd.isna(second["params.model.memory_dim"])
    assert (first["agent_steps"], first["seconds"], first["cpu_seconds"]) == (200.0, 3.0, 5.0)
    assert first["checkpoint"] == "trials/0/c/2"
    assert (second["stopped_because"], second["error"]) == ("crash", "Traceback")


def test_metrics_are_sorted_and_contiguous(study):
    """One row a report by number and iteration, with all scalars and NaN where undefined."""
    table = load_metrics(study.directory.path)

    assert list(zip(table["number"], table["iteration"], strict=True)) == [
        (0, 1),
        (0, 2),
        (1, 1),
        (2, 1),
    ]
    assert list(table.columns[:5]) == ["number", "seed", "iteration", "agent_steps", "seconds"]
    assert set(SCALARS) <= set(table.columns)
    assert table["kl"].isna().all()


def test_written_tables_read_the_same(study, tmp_path):
    """Without the database, a copy of the parquet files gives the same tables."""
    write_tables(study)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("trials", "metrics"):
        (copy / f"{name}.parquet").write_bytes(study.directory.table(name).read_bytes())

    pd.testing.assert_frame_equal(load_trials(copy), load_trials(study.directory.path))
    pd.testing.assert_frame_equal(load_metrics(copy), load_metrics(study.directory.path))
    assert list(study.directory.path.glob(".*")) == []


def test_second_objective_has_a_column(tmp_path):
    """With two objectives the second one is value_2."""
    text = SEARCH_SPACE + "objective: [{}, {metric: cpu_seconds, mode: min}]"
    with Study.create(tmp_path, parse_spec(text), text) as study:
        study.suggest()
        study.report(0, 1, {"episode_return_mean": 1.0}, seconds=1.0, cpu_seconds=7.0)
        study.finish(0, "PRUNED", "asha")

    (row,) = load_trials(study.directory.path).to_dict("records")

    assert (row["value"], row["value_2"]) == (1.0, 7.0)


def test_tables_of_an_empty_search_are_empty(tmp_path):
    """Before the first trial the columns and their types are there already."""
    Study.create(tmp_path, parse_spec(SEARCH_SPACE), SEARCH_SPACE).close()

    trials, metrics = load_trials(tmp_path / "tables"), load_metrics(tmp_path / "tables")

    assert (len(trials), len(metrics)) == (0, 0)
    assert trials["value"].dtype == metrics["kl"].dtype == "float64"


def test_evaluation_is_empty_before_that_stage(study):
    """Before anything was replayed, the columns are there; afterwards the file is read."""
    empty = load_evaluation(study.directory.path)
    row = {name: [1] for name in EVALUATION_COLUMNS}
    write_table(pd.DataFrame(row).astype(EVALUATION_COLUMNS), study.directory.table("evaluation"))

    assert list(empty.columns) == list(EVALUATION_COLUMNS)
    assert len(empty) == 0
    assert len(load_evaluation(study.directory.path)) == 1


@pytest.mark.parametrize("load", [load_trials, load_metrics, load_evaluation])
def test_what_is_no_run_is_refused(load, tmp_path):
    """A directory without a record and without tables is named."""
    with pytest.raises(InputError, match="is no run directory"):
        load(tmp_path)


def test_damaged_table_is_refused(tmp_path):
    """A parquet file that is none says so, and what to do."""
    (tmp_path / "trials.parquet").write_bytes(b"junk")

    with pytest.raises(InputError, match=r"trials.parquet: cannot be read .* delete it"):
        load_trials(tmp_path)


def test_unwritable_table_is_a_storage_error(tmp_path):
    """A table that cannot be written leaves the old one and no rest."""
    with pytest.raises(StorageError, match=r"t.parquet: cannot be written"):
        write_table(pd.DataFrame({"a": [1]}), Path(tmp_path / "none" / "t.parquet"))
