"""The evaluation stage of a finished run, done again."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from biomarl_tune.analysis.contenders import DEFAULTS
from biomarl_tune.analysis.evaluation import Stage
from biomarl_tune.analysis.verdict import as_data, verdict_lines
from biomarl_tune.conclusion import SearchResult, conclude
from biomarl_tune.errors import InputError
from biomarl_tune.output import (
    print_csv,
    print_grid,
    print_json,
    print_lines,
    refuse_both,
    shown_bounds,
)
from biomarl_tune.search.study import Study


def evaluate_run(
    run_dir: str | Path,
    *,
    top: int | None = None,
    seeds: int | None = None,
    episodes: int | None = None,
    greedy: bool = False,
) -> SearchResult:
    """Repeat the evaluation stage of a run and return its verdict; nothing is printed.

    What is left out is as in the run's spec.

    Args:
        run_dir: the run.
        top: trials replayed.
        seeds: held-out seeds.
        episodes: whole episodes a seed.
        greedy: take the likeliest moves instead of sampling as in training.

    Raises:
        InputError: a number below 1, or no run directory.
    """
    for name, value in {"--top": top, "--seeds": seeds, "--episodes": episodes}.items():
        if value is not None and value < 1:
            msg = f"{name}: must be at least 1, got {value}"
            raise InputError(msg)
    with Study.open(Path(run_dir)) as study:
        planned = study.spec.evaluation
        stage = Stage(
            top or planned.top,
            seeds or planned.seeds,
            episodes or planned.episodes_per_seed,
            greedy=greedy,
        )
        return conclude(study, stage, Console(stderr=True))


def print_evaluation(  # noqa: PLR0913 - these are the options of a command
    run_dir: Path,
    top: int | None,
    seeds: int | None,
    episodes: int | None,
    *,
    greedy: bool,
    as_json: bool,
    as_csv: bool = False,
) -> None:
    """Repeat a run's evaluation stage and print the contenders and the verdict.

    Raises:
        InputError: no run directory, a number below 1, or two formats at once.
    """
    refuse_both(as_json=as_json, as_csv=as_csv)
    result = evaluate_run(run_dir, top=top, seeds=seeds, episodes=episodes, greedy=greedy)
    if as_json:
        print_json(as_data(result.verdict))
        return
    if as_csv:
        print_csv(result.evaluation)
        return
    rows = [
        (
            c.name,
            shown_bounds(*c.score),
            "" if c.number == DEFAULTS else shown_bounds(*c.improvement, ".2f"),
            f"{c.deliveries:.0f}",
            "" if c.cpu_seconds is None else f"{c.cpu_seconds:.0f}",
        )
        for c in result.verdict.contenders
    ]
    print_grid(("", "return (IQM)", "beats defaults", "deliveries", "CPU s"), rows)
    print_lines(verdict_lines(result.verdict))
