"""What the commands ``trials`` and ``check`` print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from biomarl_tune.analysis.trials import load_trials
from biomarl_tune.analysis.verdict import as_data, verdict_lines
from biomarl_tune.errors import InputError
from biomarl_tune.progress import clock, shown_value
from biomarl_tune.run import check_cpus, evaluate_run
from biomarl_tune.search.rungs import rung_levels
from biomarl_tune.search.space import Dimension
from biomarl_tune.search.spec import SearchSpec, load_spec
from biomarl_tune.search.study import Study

STATES = ("COMPLETE", "PRUNED", "FAILED", "RUNNING", "WAITING")


def print_trials(run_dir: Path, *, sort: str, state: str, as_json: bool) -> None:
    """Print a run's trials, complete ones first, the best on top.

    Raises:
        InputError: no run directory, or an unknown column or state.
    """
    table = load_trials(run_dir)
    if state:
        if state.upper() not in STATES:
            msg = f"--state: there is no state {state!r}; use {', '.join(STATES)}"
            raise InputError(msg)
        table = table[table["state"] == state.upper()]
    table = _by_column(table, sort) if sort else _best_first(table, run_dir)
    if as_json:
        print(table.to_json(orient="records", indent=2))  # noqa: T201
        return
    _print(table)


def _by_column(table: pd.DataFrame, sort: str) -> pd.DataFrame:
    column = sort.removeprefix("-")
    if column not in table:
        msg = f"--sort: there is no column {column!r}; use one of {', '.join(table.columns)}"
        raise InputError(msg)
    return table.sort_values(column, ascending=not sort.startswith("-"))


def _best_first(table: pd.DataFrame, run_dir: Path) -> pd.DataFrame:
    rank = table["state"].map({name: rank for rank, name in enumerate(STATES)})
    ascending = False
    if (run_dir / "study.db").is_file():
        with Study.open(run_dir, read_only=True) as study:
            ascending = study.spec.objective[0].mode == "min"
    ordered = table.assign(rank=rank).sort_values(["rank", "value"], ascending=[True, ascending])
    return ordered.drop(columns="rank")


def _print(table: pd.DataFrame) -> None:
    console = Console()
    settings = [name for name in table.columns if name.startswith("params.")]
    grid = Table(box=None, pad_edge=False)
    grid.add_column("trial", justify="right")
    grid.add_column("state")
    for heading in ("value", "iterations", "time"):
        grid.add_column(heading, justify="right")
    for name in settings:
        grid.add_column(name.rpartition(".")[2], justify="right", overflow="fold")
    grid.add_column("ended because", overflow="fold")
    for row in table.to_dict("records"):
        grid.add_row(
            str(row["number"]),
            str(row["state"]),
            _cell(row["value"]),
            str(row["iterations"]),
            clock(row["seconds"]) if pd.notna(row["seconds"]) else "",
            *(_cell(row[name]) for name in settings),
            str(row["stopped_because"]),
        )
    console.print(grid, highlight=False)


def _cell(value: Any) -> str:
    if pd.isna(value):  # a condition ruled the setting out
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def print_evaluation(
    run_dir: Path,
    top: int | None,
    seeds: int | None,
    episodes: int | None,
    *,
    greedy: bool,
    as_json: bool,
) -> None:
    """Repeat a run's evaluation stage and print the verdict.

    Raises:
        InputError: no run directory, or a number below 1.
    """
    result = evaluate_run(run_dir, top=top, seeds=seeds, episodes=episodes, greedy=greedy)
    if as_json:
        print(json.dumps(as_data(result.verdict), indent=2))  # noqa: T201
        return
    for line in verdict_lines(result.verdict):
        Console().print(line, highlight=False, soft_wrap=True)


def print_check(spec_file: Path, *, as_json: bool) -> None:
    """Check a search space and print what it asks for.

    Raises:
        InputError: ``file:line: key: problem, value; remedy``.
    """
    spec = load_spec(spec_file)
    check_cpus(spec)
    console = Console()
    if as_json:
        console.print_json(data=_facts(spec))
        return
    console.print(f"{spec_file}: a sound search space.", highlight=False)
    for name, value in _facts(spec).items():
        console.print(f"  {name}: {value}", highlight=False, soft_wrap=True)


def _facts(spec: SearchSpec) -> dict[str, Any]:
    objective = ", ".join(f"{o.metric} ({o.mode})" for o in spec.objective)
    return {
        "name": spec.name,
        "trials": spec.search.trials,
        "sampler": spec.search.sampler,
        "objective": objective,
        "iterations": spec.stopping.max_iterations,
        "rungs": ", ".join(map(str, rung_levels(spec.stopping))) or "none",
        **{name: _range(dimension) for name, dimension in spec.space.items()},
    }


def _range(dimension: Dimension) -> str:
    if dimension.kind == "choice":
        return f"one of {', '.join(shown_value(choice) for choice in dimension.choices)}"
    text = f"{dimension.kind} {shown_value(dimension.low)} to {shown_value(dimension.high)}"
    if dimension.step:
        text += f" in steps of {dimension.step:g}"
    when = ", ".join(f"{name} = {value}" for name, value in dimension.when.items())
    return text + (f", when {when}" if when else "")
