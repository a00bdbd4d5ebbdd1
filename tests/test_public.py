"""The public names: each is there, and its docstring's example is true."""

from __future__ import annotations

import doctest
import inspect
import shutil
from pathlib import Path

import pytest

import biomarl_tune
from biomarl_tune.search.study import Study

ROOT = Path(__file__).parents[1]
TINY = """\
name: tiny
experiment:
  env: {num_agents: 4, max_episode_steps: 20}
  ppo: {train_batch_size: 400, minibatch_size: 200}
space: {model.hidden_dim: {choice: [4, 8]}}
search: {trials: 2}
stopping: {max_iterations: 1}
evaluation: {top: 1, seeds: 2, episodes_per_seed: 1}
"""


def test_every_public_name_can_be_imported():
    """And nothing else is promised."""
    assert dir(biomarl_tune) == sorted(biomarl_tune.__all__)
    assert all(inspect.getdoc(getattr(biomarl_tune, name)) for name in biomarl_tune.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        biomarl_tune.nothing  # noqa: B018 - asking is the test


def test_the_examples_of_public_names_are_true(tmp_path, monkeypatch, capsys):
    """With the example run and a tiny search space at hand, one after the other."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "results" / "example", "results/example")
    Path("tiny.yaml").write_text(TINY)
    order = ["Experiment", "Search", *sorted(set(biomarl_tune.__all__) - {"Experiment", "Search"})]

    for name in order:
        thing = getattr(biomarl_tune, name)
        (example,) = (found for found in doctest.DocTestFinder(recurse=False).find(thing, name))
        assert example.examples, f"{name} has no example"
        assert not any(doctest.SKIP in step.options for step in example.examples), name
        failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example).failed
        assert failed == 0, capsys.readouterr().out


def test_the_example_run_is_small_and_names_no_place():
    """Under 600 KB, without checkpoints, events or leftovers of SQLite."""
    example = ROOT / "results" / "example"
    files = {path.name: path for path in example.rglob("*")}

    assert set(files) == {
        "spec.yaml", "experiment.json", "study.db",
        "trials.parquet", "metrics.parquet", "evaluation.parquet",
    }  # fmt: skip
    assert sum(path.stat().st_size for path in files.values()) < 600_000
    with Study.open(example, read_only=True) as study:
        text = repr(study.trials()) + repr(study.reports()[-1])
    assert "/home" not in text
    assert "/tmp" not in text  # noqa: S108 - it is looked for, not used
