from __future__ import annotations

import json

import pytest

from biomarl_tune.doctor import print_examination
from biomarl_tune.search.spec import parse_spec
from biomarl_tune.search.study import Study

SPACE = """\
name: small
space: {env.pheromone_decay: {uniform: [0.2, 0.9]}}
search: {trials: 3}
"""


@pytest.fixture
def run(tmp_path):
    """A search with one trial under way, stopped cleanly."""
    with Study.create(tmp_path, parse_spec(SPACE), SPACE) as study:
        study.suggest()
    return tmp_path / "small"


def test_a_healthy_run_is_told_with_the_command_that_goes_on(run, capsys):
    """In words."""
    assert print_examination(run, as_json=False)

    said = capsys.readouterr().out
    assert "interrupted" in said
    assert "trials: 1 WAITING; 3 requested" in said
    assert f"go on with: biomarl-tune resume {run}" in said


def test_findings_are_data_too(run, capsys):
    """As JSON, with the remedy of each."""
    (run / "trials" / "9").mkdir(parents=True)

    assert not print_examination(run, as_json=True)

    found = json.loads(capsys.readouterr().out)
    assert (found["healthy"], found["trials"]) == (False, {"WAITING": 1})
    assert found["findings"][0]["what"].endswith("trials/9 is of no trial in the record")
