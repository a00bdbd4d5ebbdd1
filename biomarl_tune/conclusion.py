"""What follows a search: its best trials are replayed, and tables, report and verdict written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
from rich.console import Console

from biomarl_tune.analysis.evaluation import Stage, evaluate_study
from biomarl_tune.analysis.remarks import remarks
from biomarl_tune.analysis.report import write_report
from biomarl_tune.analysis.trials import load_trials, write_table, write_tables
from biomarl_tune.analysis.verdict import Verdict, verdict_lines, verdict_of
from biomarl_tune.chatter import tell
from biomarl_tune.search.study import Study


@dataclass(frozen=True)
class SearchResult:
    """What a search leaves behind, besides its run directory."""

    directory: Path
    verdict: Verdict
    trials: pd.DataFrame  # one row a trial
    evaluation: pd.DataFrame  # one row a (number, seed, episode)


def conclude(study: Study, stage: Stage, console: Console) -> SearchResult:
    """Evaluate what a search has found, write tables and report, and return the verdict."""
    evaluation = evaluate_study(study, stage, partial(tell, console))
    write_tables(study)
    write_table(evaluation, study.directory.table("evaluation"))
    verdict = verdict_of(study, evaluation)
    write_report(study)
    path = study.directory.path
    return SearchResult(path, verdict, load_trials(path), evaluation)


def told(study: Study, result: SearchResult) -> list[str]:
    """Return the verdict of a search in a few lines."""
    found = [*verdict_lines(result.verdict), *remarks(study)]
    return [*found, f"Everything is in {result.directory}"]
