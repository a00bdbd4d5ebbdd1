"""The command line: help that is instant, exit codes, and bad input refused in one line."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from biomarl_tune import cli, errors

COMMANDS = sorted(typer.main.get_command(cli.app).commands)
HEAVY = ("torch", "ray", "optuna", "pandas", "matplotlib", "sqlalchemy")

SPACE = "name: a\nspace: {env.pheromone_decay: {uniform: [0.2, 0.9]}}\n"

REFUSED = {
    "no file": (None, "bad.yaml: no such file"),
    "no YAML": ("name: [a", "is not valid YAML"),
    "unknown key": (SPACE + "serch: {trials: 3}", "bad.yaml:3: serch: there is no such key"),
    "duplicate key": (SPACE + "name: b", "bad.yaml:3: name: "),
    "unknown setting": (SPACE.replace("decay", "dcay"), "did you mean env.pheromone_decay?"),
    "wrong type": (SPACE + "seed: x", "bad.yaml:3: seed: "),
    "empty choice": ("name: a\nspace: {model.hidden_dim: {choice: []}}", "choice: "),
    "low above high": (SPACE.replace("[0.2, 0.9]", "[0.9, 0.2]"), "got low=0.9 high=0.2"),
    "log of zero": (SPACE.replace("uniform: [0.2", "loguniform: [0"), "low must be above 0"),
    "grace above max": (
        SPACE + "stopping: {max_iterations: 2, grace_iterations: 3}",
        "grace_iterations: ",
    ),
    "minibatch above batch": (
        SPACE + "experiment: {ppo: {train_batch_size: 10, minibatch_size: 20}}",
        "minibatch_size: ",
    ),
    "empty space": ("name: a\nspace: {}", "space: must name at least one setting"),
    "no top": (SPACE + "evaluation: {top: 0}", "evaluation.top: "),
    "no seeds": (SPACE + "evaluation: {seeds: 0}", "evaluation.seeds: "),
    "no trials": (SPACE + "search: {trials: 0}", "search.trials: "),
    "no episodes": (SPACE + "evaluation: {episodes_per_seed: 0}", "evaluation.episodes_per_seed: "),
    "unknown metric": (SPACE + "objective: {metric: retrun, mode: max}", "objective.metric: "),
    "bad name": (SPACE.replace("name: a", "name: a/b"), "bad.yaml:1: name: "),
    "too many CPUs": (
        SPACE + "experiment: {ppo: {num_env_runners: 999}}",
        "use at most",
    ),
}


@pytest.fixture
def program(monkeypatch, capsys):
    """Return a function that runs the program and returns exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["biomarl-tune", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    return run


def _one_line(text):
    return text.startswith("biomarl-tune: ") and text.count("\n") == 1


def test_the_program_lists_its_commands(program):
    """Help names every command."""
    code, out, _ = program("--help")

    assert code == 0
    assert all(f"  {name}  " in out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(program, command):
    """The example is a call of that command."""
    code, out, _ = program(command, "--help")

    assert code == 0
    assert f"Example: biomarl-tune {command}" in out


def test_help_imports_nothing_heavy():
    """Not for the program, and not for any of its commands: so it answers at once."""
    script = f"""
import contextlib, io, sys
from biomarl_tune import cli
for arguments in [[]] + [[name] for name in {COMMANDS}]:
    sys.argv = ["biomarl-tune", *arguments, "--help"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        cli.main()
print(sorted(set({HEAVY}) & set(sys.modules)))
"""

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "[]\n"


def test_bad_input_is_refused_before_anything_heavy_is_imported(tmp_path):
    """A wrong search space costs a fraction of a second, whatever the machine."""
    (tmp_path / "bad.yaml").write_text("name: a\nspace: {}")
    script = f"""
import sys
from biomarl_tune import cli
sys.argv = ["biomarl-tune", "run", {str(tmp_path / "bad.yaml")!r}]
try:
    cli.main()
except SystemExit as end:
    print(end.code, sorted(set({HEAVY}) & set(sys.modules)))
"""

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "2 []\n"
    assert _one_line(done.stderr)


def test_the_version_is_shown(program):
    """As pip knows it."""
    code, out, _ = program("--version")

    assert code == 0
    assert out.split()[0] == "biomarl-tune"


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("command", ["run", "check"])
def test_a_bad_search_space_is_refused_in_one_line(program, tmp_path, command, text, message):
    """Exit code 2, the thing named, and nothing written."""
    file = tmp_path / "bad.yaml"
    if text is not None:
        file.write_text(text)
    results = tmp_path / "results"
    options = ["--results", results] if command == "run" else []

    code, out, err = program(command, file, *options)

    assert (code, out) == (2, "")
    assert _one_line(err)
    assert message in err
    assert not results.exists()


def test_an_unknown_engine_is_refused(program, space_file, tmp_path):
    """The engines that there are are named."""
    results = tmp_path / "results"

    code, _, err = program("run", space_file, "--engine", "spark", "--results", results)

    assert code == 2
    assert err == ("biomarl-tune: --engine: there is no engine 'spark'; use auto, ray, local\n")
    assert not results.exists()


def test_an_existing_run_is_refused(program, space_file, tmp_path):
    """With both ways on: resume and --fresh."""
    taken = tmp_path / "results" / "small"
    taken.mkdir(parents=True)

    code, _, err = program("run", space_file, "--results", taken.parent)

    assert code == 2
    assert _one_line(err)
    assert f"biomarl-tune resume {taken}" in err
    assert "--fresh" in err
    assert list(taken.iterdir()) == []


def test_a_results_folder_that_is_a_file_is_refused(program, space_file, tmp_path):
    """Its name is given, and what to change."""
    results = tmp_path / "results"
    results.write_text("")

    code, _, err = program("run", space_file, "--results", results)

    assert code == 2
    assert _one_line(err)
    assert err.endswith("is a file; choose another --results\n")


@pytest.mark.parametrize("command", ["resume", "evaluate", "trials"])
def test_a_missing_run_is_refused(program, tmp_path, command):
    """By its name."""
    code, out, err = program(command, tmp_path / "nothing")

    assert (code, out) == (2, "")
    assert _one_line(err)
    assert "nothing: there is no such run directory" in err


@pytest.mark.parametrize("option", ["--top", "--seeds", "--episodes"])
def test_an_evaluation_of_nothing_is_refused(program, small_run, option):
    """A number below one."""
    code, _, err = program("evaluate", small_run.directory, option, "0")

    assert (code, err) == (2, f"biomarl-tune: {option}: must be at least 1, got 0\n")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UnsafeError("x"), 3),
        (errors.NoUsableTrialError("x"), 4),
        (errors.StorageError("x"), 5),
        (errors.StoppedError("x", 2), 130),
        (errors.StoppedError("x", 15), 143),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(program, monkeypatch, error, code):
    """Each kind of end has its own."""

    def fail(_profile):
        raise error

    monkeypatch.setattr("biomarl_tune.template.render", fail)

    found, out, err = program("template")

    assert (found, out) == (code, "")
    assert err == ("" if isinstance(error, KeyboardInterrupt) else "biomarl-tune: x\n")
