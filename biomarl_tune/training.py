"""One training run, without a search, with either engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console

from biomarl_tune.analysis.trials import write_table
from biomarl_tune.errors import InputError, RunExistsError, StorageError, TrialError
from biomarl_tune.experiment import Experiment
from biomarl_tune.ppo.local import LocalTrainer
from biomarl_tune.ppo.trial import Trial, TrialRun
from biomarl_tune.preflight import check_runners
from biomarl_tune.search.tensorboard import TensorBoard
from biomarl_tune.template import load_experiment

ENGINES = ("local", "ray")
_METRIC = "episode_return_mean"


@dataclass(frozen=True)
class TrainResult:
    """What a training run leaves behind."""

    metrics: dict[str, Any]  # of the last iteration
    history: pd.DataFrame  # one row an iteration
    checkpoint: Path


def train(
    experiment: Experiment | None = None,
    *,
    iterations: int = 50,
    engine: str = "local",
    directory: str | Path = "results/train",
    observe: Callable[[dict[str, Any]], None] | None = None,
) -> TrainResult:
    """Train one experiment.

    Args:
        experiment: the settings; the defaults if left out.
        iterations: how long.
        engine: ``local`` (in this process) or ``ray`` (RLlib, with env runners).
        directory: new folder for the checkpoints, ``metrics.parquet`` and TensorBoard events.
        observe: is given each report.

    Returns:
        The last report, the history and the last checkpoint.

    Raises:
        InputError: an unknown engine, or a number below 1.
        RunExistsError: the folder is there already.
        TrialError: the training cannot go on, e.g. a loss is not finite.
        StorageError: its checkpoint cannot be written, e.g. the disk is full.

    Example:
        >>> import tempfile
        >>> from biomarl_tune import Experiment, train
        >>> small = Experiment().with_settings(
        ...     {"env.num_agents": 4, "ppo.train_batch_size": 400, "ppo.minibatch_size": 200,
        ...      "model.hidden_dim": 8})
        >>> folder = tempfile.mkdtemp() + "/small"
        >>> result = train(small, iterations=2, directory=folder)
        >>> result.history["iteration"].tolist()
        [1, 2]
        >>> result.checkpoint.name
        'iteration-000002'
    """
    experiment = experiment or Experiment()
    if iterations < 1:
        msg = f"iterations: must be at least 1, got {iterations}"
        raise InputError(msg)
    if engine == "ray":
        check_runners(experiment.ppo.num_env_runners)
    if engine not in ENGINES:
        msg = f"engine: there is no engine {engine!r} for training; use {' or '.join(ENGINES)}"
        raise InputError(msg)
    folder = _new_folder(Path(directory))
    plan = Trial(number=0, directory=folder.absolute(), max_iterations=iterations)
    events = TensorBoard(lambda _: folder, _METRIC)
    events.started(0, {}, 0)
    history = []
    with closing(events), _steps(engine, experiment, plan) as step:
        for _ in range(iterations):
            report = _checked(step(), folder)
            events.reported(0, report)
            history.append(report)
            if observe is not None:
                observe(report)
    table = pd.DataFrame(history)
    write_table(table, folder / "metrics.parquet")
    return TrainResult(history[-1], table, folder / str(history[-1]["checkpoint"]))


def _checked(report: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a report of a training that goes on, without what only a search asks for."""
    if "storage" in report:
        raise StorageError(str(report["storage"]))
    if "failure" in report:
        (folder / "error.txt").write_text(report["traceback"])
        msg = f"{report['failure']}; the traceback is in {folder / 'error.txt'}"
        raise TrialError(msg)
    return {name: value for name, value in report.items() if name != "saved"}


@contextmanager
def _steps(
    engine: str, experiment: Experiment, plan: Trial
) -> Iterator[Callable[[], dict[str, Any]]]:
    """Yield what runs one iteration and returns its report."""
    if engine == "local":
        torch.set_num_threads(1)
        yield TrialRun(plan, LocalTrainer(experiment)).step
        return
    from biomarl_tune.search.tuner import algorithm_steps  # noqa: PLC0415 - local does without

    with algorithm_steps(experiment, plan, 1 + experiment.ppo.num_env_runners) as step:
        yield step


def train_command(
    file: Path | None,
    *,
    iterations: int,
    engine: str,
    directory: Path,
    assignments: list[str],
    as_json: bool,
) -> None:
    """Do what ``biomarl-tune train`` does.

    Raises:
        InputError: the file or an assignment cannot be used.
    """
    experiment = load_experiment(file) if file is not None else Experiment()
    experiment = experiment.with_settings(dict(map(_assignment, assignments)))
    console = Console(stderr=as_json)

    def show(report: dict[str, Any]) -> None:
        console.print(
            f"iteration {report['iteration']}/{iterations}: "
            f"return {report['episode_return_mean']:.1f}, "
            f"{report['deliveries_per_episode']:.0f} deliveries, "
            f"{report['agent_steps_per_second']:,.0f} agent steps/s",
            highlight=False,
        )

    result = train(
        experiment, iterations=iterations, engine=engine, directory=directory, observe=show
    )
    if as_json:
        print(json.dumps({**result.metrics, "checkpoint": str(result.checkpoint)}, indent=2))  # noqa: T201
        return
    console.print(f"checkpoint: {result.checkpoint}", highlight=False)


def _assignment(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign:
        msg = f"--set: must be NAME=VALUE, got {text!r}"
        raise InputError(msg)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _new_folder(folder: Path) -> Path:
    if folder.exists():
        msg = f"{folder}: is there already; give another --name or remove it"
        raise RunExistsError(msg)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        msg = f"{folder}: cannot be created ({error.strerror}); choose another folder"
        raise InputError(msg) from None
    return folder
