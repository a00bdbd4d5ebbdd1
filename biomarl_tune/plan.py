"""What a search will cost here, before anything is spent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from biomarl_tune.errors import InputError
from biomarl_tune.output import shown_size
from biomarl_tune.preflight import available_cpus, check_cpus, check_engine
from biomarl_tune.search.forecast import Machine, Outcome, decision_iterations, play_search
from biomarl_tune.search.rungs import rung_levels
from biomarl_tune.search.spec import SearchSpec
from biomarl_tune.timing import RUNNERS, CostModel, time_corners

PLAYED = 100  # searches played through; the estimates are over them
_MOST_TRIALS = 300  # that are played; a longer search takes as much longer in proportion
_KEPT = 2  # checkpoints of a trial
_RECORD_BYTES, _REPORT_BYTES = 6_000_000, 2_000  # of study.db and its log; of each report in all
_FILES = 15  # of a run directory, beside those of its trials
# seconds, files and memory as the two engines took on two cores
_START = {"ray": 10.0, "local": 9.0}  # imports, Ray, the first process; tables, report at the end
_NEW_PROCESS = {"ray": 2.5, "local": 0.05}
_REUSED_PROCESS = {"ray": 0.1, "local": 0.05}
_CHECKPOINT_FILES = 5
_PROCESS_MB = {"ray": 200.0, "local": 0.0}  # on top of a trial's own


@dataclass(frozen=True)
class Estimate:
    """A number over the searches that were played through: the middle, and nine in ten."""

    middle: float
    low: float
    high: float


@dataclass(frozen=True)
class Plan:
    """What a search asks for; seconds on a machine that has nothing else to do."""

    name: str
    engine: str
    trials: int
    max_iterations: int
    seeds_per_trial: int
    rungs: tuple[int, ...]
    concurrency: int
    cpus: int
    begun: Estimate  # trials, before the budget's minutes are over
    iterations: Estimate
    agent_steps: Estimate
    search_seconds: Estimate
    evaluation_seconds: float
    iteration_seconds: dict[str, float]  # by timed corner
    busy: float  # times as long as on an idle machine, as things are
    memory_bytes: float
    disk_bytes: float
    files: int
    obstacles: tuple[str, ...]  # why it cannot be run as it is

    @property
    def seconds(self) -> Estimate:
        """The whole, evaluation included."""
        parts = (self.search_seconds.middle, self.search_seconds.low, self.search_seconds.high)
        return Estimate(*(part + self.evaluation_seconds for part in parts))


def plan_search(spec: SearchSpec, results: Path = Path("results"), *, engine: str = "auto") -> Plan:
    """Time a few iterations at corners of the space and play the search through.

    Args:
        spec: the search.
        results: the folder that will hold the run.
        engine: as in `run`; ``auto`` is taken for Ray.

    Raises:
        InputError: an unknown engine.
    """
    check_engine(engine)
    engine = "local" if engine == "local" else "ray"
    cpus = available_cpus()
    wanted = spec.search.concurrency
    concurrency = 1 if engine == "local" else (cpus if wanted == "auto" else min(wanted, cpus))
    corners = time_corners(spec, concurrency)
    model = CostModel(corners, spec.experiment.flat(), far=engine == "ray")
    outcomes = _play(spec, model, Machine(cpus, concurrency, *_process_seconds(engine)))
    longer = spec.search.trials / min(spec.search.trials, _MOST_TRIALS)
    disk, files = _disk(outcomes, spec, model, longer)
    memory = 1e6 * concurrency * (_dearest(outcomes, model) + _PROCESS_MB[engine])
    return Plan(
        name=spec.name,
        engine=engine,
        trials=spec.search.trials,
        max_iterations=spec.stopping.max_iterations,
        seeds_per_trial=spec.search.seeds_per_trial,
        rungs=rung_levels(spec.stopping),
        concurrency=concurrency,
        cpus=cpus,
        begun=_estimate([longer * o.begun for o in outcomes]),
        iterations=_estimate([longer * sum(o.work.values()) for o in outcomes]),
        agent_steps=_estimate([longer * _agent_steps(o, model) for o in outcomes]),
        search_seconds=_estimate([_START[engine] + longer * o.seconds for o in outcomes]),
        evaluation_seconds=_evaluation_seconds(spec, model, outcomes),
        iteration_seconds=_shown_corners(model),
        busy=float(np.mean([corner.cost.waiting for corner in corners])),
        memory_bytes=memory,
        disk_bytes=disk,
        files=files,
        obstacles=tuple(_obstacles(spec, results, disk, memory)),
    )


def _process_seconds(engine: str) -> tuple[float, float]:
    return _NEW_PROCESS[engine], _REUSED_PROCESS[engine]


def _play(spec: SearchSpec, model: CostModel, machine: Machine) -> list[Outcome]:
    played = spec.model_copy(
        update={
            "search": spec.search.model_copy(
                update={"trials": min(spec.search.trials, _MOST_TRIALS)}
            )
        }
    )
    runners = spec.experiment.ppo.num_env_runners

    def seconds(settings: Mapping[str, Any]) -> float:
        return model.predict(settings).seconds

    def cpus(settings: Mapping[str, Any]) -> int:
        # the first env runner takes turns with its trial's process
        return min(max(1, int(settings.get(RUNNERS, runners))), machine.cpus)

    return [
        play_search(played, seconds, cpus, machine, np.random.default_rng((spec.seed, i)))
        for i in range(PLAYED)
    ]


def _estimate(numbers: list[float]) -> Estimate:
    low, middle, high = np.quantile(numbers, [0.05, 0.5, 0.95])
    return Estimate(float(middle), float(low), float(high))


def _agent_steps(outcome: Outcome, model: CostModel) -> float:
    return sum(
        iterations * model.predict(outcome.settings[number]).agent_steps
        for number, iterations in outcome.work.items()
    )


def _dearest(outcomes: list[Outcome], model: CostModel) -> float:
    """Return the memory of the largest trial played, in MB."""
    settings = (s for outcome in outcomes for s in outcome.settings.values())
    return max(model.predict(point).memory_mb for point in settings)


def _disk(
    outcomes: list[Outcome], spec: SearchSpec, model: CostModel, longer: float
) -> tuple[float, int]:
    """Return bytes and files of the run directory, averaged over the searches played."""
    stops = decision_iterations(spec.stopping)
    size, files = 0.0, 0.0
    for outcome in outcomes:
        for number, iterations in outcome.iterations.items():
            seeds = max(1, outcome.work[number] // max(1, iterations))
            kept = seeds * min(_KEPT, sum(stop <= iterations for stop in stops))
            cost = model.predict(outcome.settings[number])
            size += kept * cost.checkpoint_bytes + outcome.work[number] * _REPORT_BYTES
            files += 1 + kept * _CHECKPOINT_FILES
    scale = longer / len(outcomes)
    return _RECORD_BYTES + scale * size, _FILES + round(scale * files)


def _evaluation_seconds(spec: SearchSpec, model: CostModel, outcomes: list[Outcome]) -> float:
    """Return the seconds of the replays, and of training the defaults where no trial ran them."""
    planned, env, cost = spec.evaluation, spec.experiment.env, model.reference
    steps = planned.seeds * planned.episodes_per_seed * env.max_episode_steps * env.num_agents
    replays = min(planned.top, spec.search.trials) + 2  # the defaults and a random policy
    last = spec.stopping.max_iterations
    completed = np.mean([_ran_defaults(outcome, spec, last) for outcome in outcomes])
    training = float(1 - completed) * last * cost.seconds
    replaying = replays * steps * cost.sample_seconds / cost.agent_steps
    return spec.search.seeds_per_trial * (replaying + training)


def _ran_defaults(outcome: Outcome, spec: SearchSpec, last: int) -> bool:
    base = spec.experiment.flat()
    return any(
        iterations == last and all(base[k] == v for k, v in outcome.settings[number].items())
        for number, iterations in outcome.iterations.items()
    )


def _shown_corners(model: CostModel) -> dict[str, float]:
    """Return the seconds of an iteration by what differs from the fixed settings."""
    others = {
        f"{corner.name} = {corner.settings[corner.name]}": corner.cost
        for corner in model.corners
        if corner.name
    }
    shown = {"fixed settings and defaults": model.reference, **others}
    return {name: cost.seconds for name, cost in shown.items()}


def _obstacles(spec: SearchSpec, results: Path, disk: float, memory: float) -> list[str]:
    found = []
    try:
        check_cpus(spec)
    except InputError as error:
        found.append(str(error))
    if os.path.lexists(results / spec.name):
        found.append(f"{results / spec.name}: is there already; use --fresh or another --name")
    place = next(p for p in (results.absolute(), *results.absolute().parents) if p.is_dir())
    free = shutil.disk_usage(place).free
    if disk > free:
        found.append(
            f"{results}: needs {shown_size(disk)}, {shown_size(free)} are free; use another disk"
        )
    available = psutil.virtual_memory().available
    if memory > available:
        found.append(
            f"search.concurrency: trials side by side need {shown_size(memory)} of memory, "
            f"{shown_size(available)} are free; lower it"
        )
    return found
