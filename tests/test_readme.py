"""README.md is true: every command is in it and runs, and so do its Python examples."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
from pathlib import Path

import pytest
import typer
import yaml

from biomarl_tune import cli
from biomarl_tune.experiment import Experiment
from biomarl_tune.scalars import SCALARS
from biomarl_tune.search.spec import parse_spec

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = sorted(typer.main.get_command(cli.app).commands)


def _blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def _section(title):
    return README.split(f"## {title}\n")[1].split("\n## ")[0]


CALLS = [
    line.removeprefix("$ ").partition(" > ")[0]
    for block in _blocks("console")
    for line in block.splitlines()
]


def test_it_opens_with_the_commands():
    """What to type stands before what it is."""
    opening = README.split("`biomarl-tune` finds")[0]

    for command in (
        "make run",
        "make test",
        "pip install .",
        "biomarl-tune run search_spaces/pheromone.yaml",
        "tensorboard --logdir results",
        "jupyter lab notebooks/analysis.ipynb",
    ):
        assert command in opening


def test_every_command_is_documented_and_every_documented_one_exists():
    """In the table, and with an example."""
    table = re.findall(r"^\| `([a-z]+)` \|", _section("Commands"), re.MULTILINE)
    shown = {shlex.split(call)[1] for call in CALLS}

    assert sorted(table) == COMMANDS
    assert shown == set(COMMANDS)


@pytest.mark.parametrize("call", CALLS)
def test_every_shown_call_is_understood(call):
    """The parser takes its options and arguments; nothing is run."""
    program = typer.main.get_command(cli.app)
    _, name, *arguments = shlex.split(call)

    command = program.commands[name]

    context = command.make_context(
        name, arguments, parent=program.make_context("biomarl-tune", [name])
    )
    assert set(context.params) == {parameter.name for parameter in command.params}


@pytest.mark.parametrize("code", _blocks("python"))
def test_every_python_example_runs(code, tmp_path, monkeypatch, capsys):
    """With the example run at hand, and a search space of seconds."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "results" / "example", "results/example")
    Path("tiny.yaml").write_text(
        "name: tiny\n"
        "experiment:\n"
        "  env: {num_agents: 4, max_episode_steps: 20}\n"
        "  ppo: {train_batch_size: 400, minibatch_size: 200}\n"
        "space: {model.hidden_dim: {choice: [4, 8]}}\n"
        "search: {trials: 2}\n"
        "stopping: {max_iterations: 1}\n"
        "evaluation: {top: 1, seeds: 2, episodes_per_seed: 1}\n"
    )

    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102 - our own examples

    assert {"best", "result", "again"} & set(names)
    assert "Traceback" not in capsys.readouterr().err


def test_the_shown_search_space_is_sound():
    """It is checked as `biomarl-tune check` would."""
    (text,) = _blocks("yaml")

    assert parse_spec(text).name == yaml.safe_load(text)["name"]


def test_the_shown_output_is_that_of_the_example_run():
    """Table and verdict, word for word; `.ci/example.py` writes them."""
    example = runpy.run_path(str(ROOT / ".ci" / "example.py"))

    assert example["block"]() in README


def test_the_named_settings_have_the_named_defaults():
    """As experiment.py has them."""
    flat = Experiment().flat()
    rows = re.findall(r"^\| `([a-z_.]+)` \| ([\d.]+) \|", _section("Settings"), re.MULTILINE)

    assert len(rows) >= 5
    assert {name: float(value) for name, value in rows} == {name: flat[name] for name, _ in rows}


def test_every_scalar_is_explained():
    """As scalars.py has it."""
    rows = re.findall(r"^\| `([a-z_]+)` \| (.*) \|$", README, re.MULTILINE)

    assert set(SCALARS.items()) <= set(rows)


def test_every_exit_code_is_named():
    """As the errors have them."""
    codes = {int(code) for code in re.findall(r"(?:: |· )(\d+) ", _section("Commands"))}

    assert codes == {0, 2, 3, 4, 5, 130, 143}


def test_named_files_and_targets_exist():
    """Links lead somewhere, and make knows its targets."""
    makefile = (ROOT / "Makefile").read_text()

    for target in re.findall(r"make ([a-z-]+)", README):
        assert f"\n{target}:" in makefile
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists()
    for name in re.findall(r"(?:notebooks|search_spaces)/[\w.]+\.\w+", README):
        assert (ROOT / name).exists()
