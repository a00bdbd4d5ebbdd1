"""What the command ``doctor`` prints."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from biomarl_tune.search.examination import Examination, examine


def print_examination(run_dir: Path, *, as_json: bool) -> bool:
    """Examine a run directory, print what was found, and tell whether it is healthy.

    Raises:
        InputError: no run directory.
    """
    found = examine(run_dir)
    if as_json:
        facts = {**asdict(found), "directory": str(run_dir), "healthy": found.healthy}
        print(json.dumps({**facts, "next": _next(found)}, indent=2))  # noqa: T201
        return found.healthy
    console = Console()
    for line in _lines(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return found.healthy


def _lines(found: Examination) -> list[str]:
    counts = ", ".join(f"{count} {state}" for state, count in sorted((found.trials or {}).items()))
    process = f" by process {found.holder}" if found.holder else ""
    lines = [f"{found.directory}: {found.state}{process}"]
    if found.trials is not None:
        lines.append(f"trials: {counts or 'none'}; {found.requested} requested")
    if found.repeated:
        lines.append(f"{found.repeated} trials repeat settings of earlier ones")
    lines += [f"wrong: {finding.what}; {finding.remedy}" for finding in found.findings]
    if found.healthy:
        lines.append("healthy")
    if _next(found):
        lines.append(f"go on with: {_next(found)}")
    return lines


def _next(found: Examination) -> str:
    """Return the command that finishes the run; empty if there is nothing to finish."""
    return f"biomarl-tune resume {found.directory}" if found.state == "interrupted" else ""
