"""The table of trials on the screen."""

from __future__ import annotations

import json
import shutil

import pytest

from biomarl_tune.errors import InputError
from biomarl_tune.listing import print_trials


@pytest.fixture
def printed(small_run, capsys):
    """Return a function that prints the small search's trials and returns what was printed."""

    def printed(*, sort="", state="", as_json=False, run_dir=small_run.directory):
        print_trials(run_dir, sort=sort, state=state, as_json=as_json)
        return capsys.readouterr().out

    return printed


def test_complete_trials_come_first_the_best_on_top(printed, small_run):
    """Then those that were stopped early."""
    trials = json.loads(printed(as_json=True))

    states = [trial["state"] for trial in trials]
    assert states == sorted(states)
    for state in set(states):
        values = [trial["value"] for trial in trials if trial["state"] == state]
        assert values == sorted(values, reverse=True)
    assert len(trials) == len(small_run.result.trials)


def test_the_table_has_a_line_for_each_trial_with_its_settings(printed):
    """Under the last part of their names."""
    lines = printed().splitlines()

    heading = " ".join(lines[:2])
    assert all(word in heading for word in ("trial", "state", "value", "decay", "memory"))
    assert sum("COMPLETE" in line or "PRUNED" in line for line in lines) == 5


def test_a_state_can_be_chosen_and_a_column_to_sort_by(printed):
    """A leading minus turns the order round."""
    complete = json.loads(printed(state="complete", as_json=True))
    by_number = json.loads(printed(sort="-number", as_json=True))

    assert {trial["state"] for trial in complete} == {"COMPLETE"}
    assert [trial["number"] for trial in by_number] == [4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"state": "DONE"}, "--state: there is no state 'DONE'; use COMPLETE"),
        ({"sort": "score"}, "--sort: there is no column 'score'; use one of number"),
    ],
)
def test_what_there_is_not_is_refused(printed, arguments, message):
    """With what there is."""
    with pytest.raises(InputError, match=message):
        printed(**arguments)


def test_the_tables_are_enough(printed, small_run, tmp_path):
    """Where somebody was given the parquet files without the record."""
    shutil.copy(small_run.directory / "trials.parquet", tmp_path)

    assert len(json.loads(printed(as_json=True, run_dir=tmp_path))) == 5


def test_a_folder_that_is_no_run_is_refused(printed, tmp_path):
    """By its name."""
    with pytest.raises(InputError, match="is no run directory"):
        printed(run_dir=tmp_path)
