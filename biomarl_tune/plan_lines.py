"""What ``biomarl-tune plan`` prints: the costs of a search in words."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from biomarl_tune.errors import InputError
from biomarl_tune.output import shown_size
from biomarl_tune.plan import Estimate, Plan, plan_search
from biomarl_tune.progress import clock
from biomarl_tune.search.directory import fresh_name
from biomarl_tune.search.spec import load_spec

_BUSY = 1.15  # wall over processor time from which on a machine is called busy


def print_plan(  # noqa: PLR0913 - these are the options of the command
    spec_file: Path,
    results: Path,
    *,
    name: str,
    fresh: bool,
    engine: str,
    seed: int | None,
    as_json: bool,
) -> None:
    """Print what a search will cost.

    Raises:
        InputError: the search space cannot be used, or not on this machine.
    """
    spec = load_spec(spec_file, name=name or None, seed=seed)
    if fresh:
        spec = spec.model_copy(update={"name": fresh_name(results, spec.name)})
    plan = plan_search(spec, results, engine=engine)
    if as_json:
        data = {**asdict(plan), "seconds": asdict(plan.seconds)}
        print(json.dumps(data, indent=2))  # noqa: T201
    else:
        console = Console()
        for line in plan_lines(plan):
            console.print(line, highlight=False, soft_wrap=True)
    if plan.obstacles:
        msg = f"{spec_file}: cannot be run here as it is: {plan.obstacles[0]}"
        raise InputError(msg)


def plan_lines(plan: Plan) -> list[str]:
    """Say a plan in words, one fact a line."""
    without = plan.trials * plan.max_iterations * plan.seeds_per_trial
    rungs = f"after {', '.join(map(str, plan.rungs))} iterations" if plan.rungs else "none"
    fastest, slowest = min(plan.iteration_seconds.values()), max(plan.iteration_seconds.values())
    seconds = plan.seconds
    seeds = f" under each of {plan.seeds_per_trial} seeds" if plan.seeds_per_trial > 1 else ""
    lines = [
        f"{plan.name}: {plan.trials} trials of at most {plan.max_iterations} iterations{seeds}",
        f"  rungs         {rungs}",
        f"  iterations    {_range(plan.iterations, _count)}; without stopping {without:,}",
        f"  agent steps   {_range(plan.agent_steps, _million)}",
        (
            f"  side by side  {plan.concurrency} at most, one thread a trial "
            f"({plan.cpus} CPUs, engine {plan.engine})"
        ),
        f"  an iteration  {fastest:.2g} to {slowest:.2g} s, timed at corners of the space:",
        *(f"                {v:.2f} s  {name}" for name, v in plan.iteration_seconds.items()),
        (
            f"  time          {clock(seconds.middle)} ({clock(seconds.low)} to "
            f"{clock(seconds.high)}), of which evaluation {clock(plan.evaluation_seconds)}"
        ),
        f"  memory        {shown_size(plan.memory_bytes)}",
        f"  disk          {shown_size(plan.disk_bytes)} in {plan.files:,} files",
    ]
    if plan.begun.middle < plan.trials:
        lines.append(f"  budget        ends it after {_range(plan.begun, _count)} trials")
    if plan.busy > _BUSY:
        lines.append(
            f"  busy          other programs are at work: as things are, it takes "
            f"{plan.busy:.1f} times as long"
        )
    return [*lines, *(f"  not here      {obstacle}" for obstacle in plan.obstacles)]


def _range(estimate: Estimate, shown: Any) -> str:
    return f"{shown(estimate.middle)} ({shown(estimate.low)} to {shown(estimate.high)})"


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _million(number: float) -> str:
    return f"{number / 1e6:,.3g} million"
