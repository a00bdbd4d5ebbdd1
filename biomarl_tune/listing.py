"""What ``biomarl-tune trials`` prints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from biomarl_tune.analysis.remarks import remarks
from biomarl_tune.analysis.trials import load_trials
from biomarl_tune.errors import InputError
from biomarl_tune.output import print_csv, refuse_both
from biomarl_tune.progress import clock
from biomarl_tune.search.study import Study

STATES = ("COMPLETE", "PRUNED", "FAILED", "RUNNING", "WAITING")

_PIPE_WIDTH = 200  # of a table that goes into a file or another program
_REASON_WIDTH = 24  # with less room the reasons are left out


def print_trials(
    run_dir: Path, *, sort: str, state: str, as_json: bool, as_csv: bool = False
) -> None:
    """Print a run's trials, complete ones first, the best on top.

    Raises:
        InputError: no run directory, an unknown column or state, or two formats at once.
    """
    refuse_both(as_json=as_json, as_csv=as_csv)
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
    if as_csv:
        print_csv(table)
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
    """Print one row a trial; what does not fit beside it goes below it, or is left to --json."""
    console = Console()
    width = console.width if console.is_terminal else _PIPE_WIDTH
    fixed = {heading: [cell(row) for row in table.to_dict("records")] for heading, cell in _FIXED}
    settings = {
        name.removeprefix("params.").rpartition(".")[2].replace("_", "\n"): [
            _cell(value) for value in table[name]
        ]
        for name in table.columns
        if name.startswith("params.")
    }
    reasons = [str(reason) for reason in table["stopped_because"]]
    left = width - _needed({**fixed, **settings})
    if left < 0:
        _print_blocks(console, table, fixed)
        return
    columns = {**fixed, **settings}
    grid = Table(box=None, pad_edge=False)
    for heading in columns:
        grid.add_column(heading, justify="left" if heading == "state" else "right", no_wrap=True)
    if left >= _REASON_WIDTH:
        columns["ended because"] = reasons
        grid.add_column("ended because", no_wrap=True, overflow="ellipsis", max_width=left)
    for cells in zip(*columns.values(), strict=True):
        grid.add_row(*cells)
    Console(width=width).print(grid, highlight=False)
    if left < _REASON_WIDTH and any(reasons):
        console.print("Why each ended: in a wider window, with --json, or in report.html.")


def _print_blocks(console: Console, table: pd.DataFrame, fixed: dict[str, list[str]]) -> None:
    """Print a line a trial with its settings below it, for spaces of many settings."""
    grid = Table(box=None, pad_edge=False)
    for heading in fixed:
        grid.add_column(heading, justify="left" if heading == "state" else "right", no_wrap=True)
    grid.add_column("settings")
    for cells, row in zip(zip(*fixed.values(), strict=True), table.to_dict("records"), strict=True):
        pairs = (
            f"{name.rpartition('.')[2]}={_cell(value)}"
            for name, value in row.items()
            if str(name).startswith("params.") and not pd.isna(value)
        )
        grid.add_row(*cells, " ".join(pairs))
    console.print(grid, highlight=False)


def _needed(columns: dict[str, list[str]]) -> int:
    """Return the characters that columns take, with a gap of two after each."""
    return sum(
        2 + max(len(line) for text in (heading, *cells) for line in text.split("\n"))
        for heading, cells in columns.items()
    )


def _cell(value: Any) -> str:
    if pd.isna(value):  # a condition ruled the setting out
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


_FIXED: tuple[tuple[str, Callable[[dict[Any, Any]], str]], ...] = (
    ("trial", lambda row: str(row["number"])),
    ("state", lambda row: str(row["state"])),
    ("value", lambda row: _cell(row["value"])),
    ("iter.", lambda row: str(row["iterations"])),
    ("time", lambda row: clock(row["seconds"]) if pd.notna(row["seconds"]) else ""),
)
