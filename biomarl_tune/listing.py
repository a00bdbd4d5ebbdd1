"""What ``biomarl-tune trials`` prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from biomarl_tune.analysis.remarks import remarks
from biomarl_tune.analysis.trials import load_trials
from biomarl_tune.errors import InputError
from biomarl_tune.progress import clock
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
    if (run_dir / "study.db").is_file():
        with Study.open(run_dir, read_only=True) as study:
            for line in remarks(study):
                Console().print(line, highlight=False, soft_wrap=True)


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
