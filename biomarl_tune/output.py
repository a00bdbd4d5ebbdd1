"""How commands print tables: for people, as JSON, as CSV."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from biomarl_tune.errors import InputError


def refuse_both(*, as_json: bool, as_csv: bool) -> None:
    """Refuse two formats at once.

    Raises:
        InputError: JSON and CSV are both asked for.
    """
    if as_json and as_csv:
        msg = "--json and --csv: only one of them at a time, got both"
        raise InputError(msg)


def print_json(data: Any) -> None:
    """Print data as JSON; a number that is not finite becomes null."""
    print(json.dumps(_plain(data), indent=2, default=str))  # noqa: T201


def print_csv(table: pd.DataFrame) -> None:
    """Print a table as CSV, with a line of headings."""
    table.to_csv(sys.stdout, index=False)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON holds them."""
    found: list[dict[str, Any]] = json.loads(table.to_json(orient="records"))
    return found


def print_grid(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table for people, the first column to the left and the others to the right."""
    grid = Table(box=None, pad_edge=False)
    for column, heading in enumerate(headings):
        grid.add_column(heading, justify="right" if column else "left", overflow="fold")
    for row in rows:
        grid.add_row(*row)
    Console().print(grid, highlight=False, markup=False)


def print_lines(lines: Iterable[str]) -> None:
    """Print sentences, wrapped between words on a terminal and one a line elsewhere."""
    console = Console()
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=not console.is_terminal)


def shown_bounds(estimate: float, low: float, high: float, form: str = ".1f") -> str:
    """Return an estimate and its interval for a table's cell."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return f"{estimate:{form}}"
    return f"{estimate:{form}} [{low:{form}}, {high:{form}}]"


def _plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def shown_size(number: float) -> str:
    """Return bytes as people write them."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"
