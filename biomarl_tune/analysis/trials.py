"""The tables of a run as tidy DataFrames, from the record while there is one, else from files.

trials      one row a trial: number, state, value, params.<dotted name>..., iterations,
            agent_steps, seconds, cpu_seconds, stopped_because, checkpoint, error, start, why,
            audited, value_per_million_agent_steps, value_per_cpu_second; with two objectives
            value_2 and pareto
metrics     one row a report: number, seed, iteration, agent_steps, seconds, then the other
            scalars of scalars.py, cpu_seconds, checkpoint
evaluation  one row a replayed episode: number (-1 the defaults, -2 a random policy), seed,
            episode, return, deliveries, length, breakthroughs, training_seed
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from biomarl_tune.analysis.pareto import on_front
from biomarl_tune.errors import InputError, StorageError
from biomarl_tune.scalars import SCALARS
from biomarl_tune.search.directory import RunDirectory
from biomarl_tune.search.space import plain
from biomarl_tune.search.study import Study
from biomarl_tune.search.trial import Report, Trial

EVALUATION_COLUMNS = {
    "number": "int64",
    "seed": "int64",
    "episode": "int64",
    "return": "float64",
    "deliveries": "float64",
    "length": "int64",
    "breakthroughs": "int64",
    "training_seed": "int64",
}


def load_trials(run_dir: str | Path) -> pd.DataFrame:
    """Return one row a trial, also of a search that is still running.

    Columns:
        number: from 0, in the order of proposal.
        state: COMPLETE, PRUNED (stopped early), FAILED, RUNNING or WAITING (interrupted).
        value: the objective at the last report; NaN before the first and for FAILED trials.
        value_2: the second objective, where there are two.
        params.<dotted name>: one column a searched setting; missing where a condition ruled it out.
        iterations: reported so far.
        agent_steps, seconds, cpu_seconds: spent so far.
        stopped_because: in words; empty while the trial has not ended.
        checkpoint: the newest one, relative to the run directory; empty if there is none.
        error: of a FAILED trial.
        start: start_with or sampler; and why, the same in words.
        audited: the iteration at which ASHA condemned a trial that ran on for the audit; else 0.
        value_per_million_agent_steps, value_per_cpu_second: what a setting gives for experience,
            and for its cost; NaN where there is no value.
        pareto: whether no COMPLETE trial is better in one objective and as good in the other,
            where there are two.

    Raises:
        InputError: no run directory.

    Example:
        >>> from biomarl_tune import load_trials
        >>> trials = load_trials("results/example")
        >>> trials.nlargest(3, "value")["state"].tolist()
        ['COMPLETE', 'COMPLETE', 'COMPLETE']
    """
    directory = RunDirectory(Path(run_dir))
    if not directory.database.is_file():
        return _read(directory, "trials")
    with Study.open(directory.path, read_only=True) as study:
        return trials_table(study)


def load_metrics(run_dir: str | Path) -> pd.DataFrame:
    """Return one row a report, sorted by number, seed and iteration.

    Columns:
        number, seed: the trial, and the index of its training seed.
        iteration: from 1, without gaps.
        agent_steps, seconds, cpu_seconds: since the start of the trial.
        the scalars: as described in scalars.py; NaN where a trial gave no finite number.
        checkpoint: the newest one at that time, relative to the run directory.

    Raises:
        InputError: no run directory.

    Example:
        >>> from biomarl_tune import load_metrics
        >>> metrics = load_metrics("results/example")
        >>> bool((metrics.groupby("number")["iteration"].min() == 1).all())
        True
    """
    directory = RunDirectory(Path(run_dir))
    if not directory.database.is_file():
        return _read(directory, "metrics")
    with Study.open(directory.path, read_only=True) as study:
        return metrics_table(study)


def load_evaluation(run_dir: str | Path) -> pd.DataFrame:
    """Return one row an episode that was replayed on a held-out seed; empty before that stage.

    Columns:
        number: the trial; -1 for the defaults, -2 for a random policy.
        seed: held out from all training.
        episode: from 0, of that seed.
        return: rewards summed over the colony and the episode.
        deliveries, length, breakthroughs: counted over the episode.
        training_seed: index of the training seed whose checkpoint was replayed.

    Raises:
        InputError: no run directory.

    Example:
        >>> from biomarl_tune import load_evaluation
        >>> means = load_evaluation("results/example").groupby("number")["return"].mean()
        >>> bool(means.drop([-1, -2]).max() > means[-1])  # the best trial and the defaults
        True
    """
    directory = RunDirectory(Path(run_dir))
    if directory.table("evaluation").is_file():
        return _read(directory, "evaluation")
    if not directory.database.is_file() and not directory.table("trials").is_file():
        raise InputError(_no_run(directory))
    columns = {name: pd.Series(dtype=kind) for name, kind in EVALUATION_COLUMNS.items()}
    return pd.DataFrame(columns)


def load_table(directory: RunDirectory, name: str) -> pd.DataFrame:
    """Return a table of a stage after the search, without any rows where that was not run.

    Args:
        directory: of the run.
        name: evaluation, ablation or robustness.

    Raises:
        InputError: the file is damaged.
    """
    return _read(directory, name) if directory.table(name).is_file() else pd.DataFrame()


def write_tables(study: Study) -> None:
    """Write trials.parquet and metrics.parquet, each whole or not at all.

    Raises:
        StorageError: the disk failed.
    """
    write_table(trials_table(study), study.directory.table("trials"))
    write_table(metrics_table(study), study.directory.table("metrics"))


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table in one step, so that readers see the old or the new one.

    Raises:
        StorageError: the disk failed.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        table.to_parquet(new, index=False)
        new.replace(path)
    except OSError as error:
        msg = f"{path}: cannot be written ({os.strerror(error.errno or 0)}); free the disk"
        raise StorageError(msg) from None
    finally:
        new.unlink(missing_ok=True)


def trials_table(study: Study) -> pd.DataFrame:
    """Return the table of trials of an open study; see `load_trials`."""
    names = list(study.spec.space)
    rows = [_trial_row(trial, names, study) for trial in study.trials()]
    table = pd.DataFrame(rows, columns=list(_trial_row(None, names, study)))
    counted = {"number": "int64", "iterations": "int64", "audited": "int64"}
    measured = ["value", "value_2", "agent_steps", "seconds", "cpu_seconds"]
    floats = {name: "float64" for name in measured if name in table}
    table = table.astype({**counted, **floats})
    table["value_per_million_agent_steps"] = _ratio(table["value"], table["agent_steps"] / 1e6)
    table["value_per_cpu_second"] = _ratio(table["value"], table["cpu_seconds"])
    if "value_2" in table:
        table["pareto"] = on_front(table, study.spec.objective)
    return table


def _ratio(value: pd.Series, cost: pd.Series) -> pd.Series:
    return value / cost.where(cost > 0)


def metrics_table(study: Study) -> pd.DataFrame:
    """Return the table of reports of an open study; see `load_metrics`."""
    rest = [name for name in SCALARS if name != "agent_steps"]
    columns = ["number", "seed", "iteration", "agent_steps", "seconds", *rest]
    columns += ["cpu_seconds", "checkpoint"]
    rows = [_report_row(report) for report in study.reports()]
    table = pd.DataFrame(rows, columns=columns)
    whole = dict.fromkeys(("number", "seed", "iteration"), "int64")
    floats = dict.fromkeys((*SCALARS, "seconds", "cpu_seconds"), "float64")
    table = table.astype({**whole, **floats})
    return table.sort_values(["number", "seed", "iteration"], ignore_index=True)


def _trial_row(trial: Trial | None, names: list[str], study: Study) -> dict[str, Any]:
    """Return a row; without a trial, one whose keys are the columns."""
    last = trial.last if trial else None
    objective = study.spec.objective
    shown = trial is not None and trial.state != "FAILED" and last is not None
    values = last.values(objective) if shown and last else (np.nan,) * len(objective)
    settings = trial.settings if trial else {}
    return {
        "number": trial.number if trial else 0,
        "state": trial.state if trial else "",
        "value": values[0],
        **({"value_2": values[1]} if len(values) > 1 else {}),
        **{f"params.{name}": plain(settings.get(name)) for name in names},
        "iterations": trial.iteration if trial else 0,
        "agent_steps": last.value("agent_steps") if last else 0.0,
        "seconds": last.seconds if last else 0.0,
        "cpu_seconds": last.cpu_seconds if last else 0.0,
        "stopped_because": trial.stopped_because if trial else "",
        "checkpoint": _checkpoint(last),
        "error": trial.error if trial else "",
        "start": trial.start if trial else "",
        "why": trial.why if trial else "",
        "audited": trial.audited if trial else 0,
    }


def _report_row(report: Report) -> dict[str, Any]:
    return {
        **report.scalars,
        "number": report.number,
        "seed": report.seed,
        "iteration": report.iteration,
        "seconds": report.seconds,
        "cpu_seconds": report.cpu_seconds,
        "checkpoint": _checkpoint(report),
    }


def _checkpoint(report: Report | None) -> str:
    if report is None or not report.checkpoint:
        return ""
    return f"trials/{report.number}/{report.checkpoint}"


def _read(directory: RunDirectory, name: str) -> pd.DataFrame:
    path = directory.table(name)
    if not path.is_file():
        raise InputError(_no_run(directory))
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        msg = f"{path}: cannot be read ({reason}); delete it, it is written again from study.db"
        raise InputError(msg) from None


def _no_run(directory: RunDirectory) -> str:
    return f"{directory.path}: is no run directory; give one such as results/pheromone"
