"""What is refused before anything heavy is imported, and what ``biomarl-tune check`` prints."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from rich.console import Console

from biomarl_tune.errors import InputError, StorageError
from biomarl_tune.progress import shown_value
from biomarl_tune.search.directory import check_free, fresh_name
from biomarl_tune.search.racing import stages
from biomarl_tune.search.rungs import rung_levels
from biomarl_tune.search.space import Dimension, greatest
from biomarl_tune.search.spec import SearchSpec, load_spec

ENGINES = ("auto", "ray", "local")

_RUNNERS = "ppo.num_env_runners"
_ROOM = 3  # checkpoints
_STATE_BYTES = 300_000  # of a checkpoint, besides what grows with the network
_BYTES_PER_WEIGHT = 16  # the weights, once more in the state, and two moments of Adam
_LAYERS = 6  # of hidden_dim by hidden_dim


def check_run(
    spec_file: Path, results: Path, *, name: str, seed: int | None, fresh: bool, engine: str
) -> None:
    """Refuse what would be refused later, within a fraction of a second and nothing written.

    Raises:
        InputError: the engine, the search space, its name or the results folder cannot be used.
    """
    check_engine(engine)
    spec = load_spec(spec_file, name=name or None, seed=seed)
    check_cpus(spec)
    check_free(results, fresh_name(results, spec.name) if fresh else spec.name)
    check_room(results, spec)


def check_room(results: Path, spec: SearchSpec) -> None:
    """Refuse a results folder whose disk could not even take a few checkpoints.

    Raises:
        StorageError: naming the room there is and the room it takes.
    """
    width = greatest(spec.space, spec.experiment.flat(), "model.hidden_dim")
    checkpoint = _STATE_BYTES + _BYTES_PER_WEIGHT * _LAYERS * width**2
    there = next(path for path in (results, *results.absolute().parents) if path.exists())
    free, needed = shutil.disk_usage(there).free, _ROOM * checkpoint
    if free < needed:
        msg = (
            f"{results}: {free / 1e6:.1f} MB are free, a search like this needs at least "
            f"{needed / 1e6:.1f} MB; free the disk or choose another --results"
        )
        raise StorageError(msg)


def check_run_directory(path: Path) -> None:
    """Refuse what is no directory at all.

    Raises:
        InputError: there is no such directory.
    """
    if not path.is_dir():
        msg = f"{path}: there is no such run directory; give one such as results/pheromone"
        raise InputError(msg)


def check_engine(engine: str) -> None:
    """Refuse an engine that there is not.

    Raises:
        InputError: it is none of auto, ray and local.
    """
    if engine not in ENGINES:
        msg = f"--engine: there is no engine {engine!r}; use {', '.join(ENGINES)}"
        raise InputError(msg)


def available_cpus() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0))


def check_cpus(spec: SearchSpec) -> None:
    """Refuse a search of which some trial could never be placed on this machine.

    Raises:
        InputError: naming the setting and what it may be.
    """
    check_runners(greatest(spec.space, spec.experiment.flat(), _RUNNERS))


def most_cpus(spec: SearchSpec, concurrency: int) -> int:
    """Return the processors that a search can keep busy at most, of those that there are."""
    runners = int(greatest(spec.space, spec.experiment.flat(), _RUNNERS))
    return min(available_cpus(), concurrency * (1 + runners))


def check_runners(runners: int) -> None:
    """Refuse more env runners than this machine has processors for, the trial's own left out.

    Raises:
        InputError: naming the setting and what it may be.
    """
    cpus = available_cpus()
    if runners + 1 > cpus:
        msg = (
            f"{_RUNNERS}: {runners} env runners and the trial itself need {runners + 1} CPUs, "
            f"this machine has {cpus}; use at most {cpus - 1}"
        )
        raise InputError(msg)


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
        **_seeds(spec),
        **{name: _range(dimension) for name, dimension in spec.space.items()},
    }


def _seeds(spec: SearchSpec) -> dict[str, str]:
    plan = stages(spec.stopping, spec.search.seeds_per_trial)
    told = {"seeds": ", ".join(f"{s.seeds} to iteration {s.level}" for s in plan)} if plan else {}
    return {**told, "audit": f"{spec.stopping.audit:.0%}"} if spec.stopping.audit else told


def _range(dimension: Dimension) -> str:
    when = ", ".join(f"{name} = {shown_value(value)}" for name, value in dimension.when.items())
    return _values(dimension) + (f", when {when}" if when else "")


def _values(dimension: Dimension) -> str:
    if dimension.kind == "choice":
        return f"one of {', '.join(shown_value(choice) for choice in dimension.choices)}"
    text = f"{dimension.kind} {shown_value(dimension.low)} to {shown_value(dimension.high)}"
    return text + (f" in steps of {dimension.step:g}" if dimension.step else "")
