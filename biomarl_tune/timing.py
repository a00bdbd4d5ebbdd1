"""What an iteration costs here: a few real ones at corners of a space, timed side by side."""

from __future__ import annotations

import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from biomarl_tune.errors import InputError
from biomarl_tune.experiment import Experiment, experiment_from
from biomarl_tune.ppo.checkpoint import save_checkpoint
from biomarl_tune.ppo.local import LocalTrainer, compile_ahead, resident_mb
from biomarl_tune.search.corners import needed
from biomarl_tune.search.space import Dimension, active, is_number, plain
from biomarl_tune.search.spec import SearchSpec

# the settings that the arithmetic of an iteration depends on; runners share the sampling only
COSTLY = (
    "env.num_agents",
    "env.grid_size",
    "env.communication_range",
    "model.hidden_dim",
    "model.pheromone_attention",
    "model.attention_dim",
    "model.plasticity",
    "model.memory_dim",
    "model.messages",
    "model.message_dim",
    "ppo.train_batch_size",
    "ppo.minibatch_size",
    "ppo.rollout_steps",
    "ppo.num_epochs",
)
RUNNERS = "ppo.num_env_runners"
TIMED_ITERATIONS = 3
_PATIENCE = 15.0  # seconds after which a setting is timed no further


@dataclass(frozen=True)
class Cost:
    """What one iteration of an experiment costs, and what its trial takes up.

    Seconds are of processor time in one thread, which is the wall time of a machine that has
    nothing else to do.
    """

    sample_seconds: float
    learn_seconds: float
    spread: float  # standard deviation of an iteration's time, as a share of it
    waiting: float  # wall time over processor time: above 1 where other programs are busy
    agent_steps: float  # per iteration
    memory_mb: float
    checkpoint_bytes: int
    weights_bytes: int

    @property
    def seconds(self) -> float:
        """Of one iteration, sampling and learning in one thread."""
        return self.sample_seconds + self.learn_seconds


@dataclass(frozen=True)
class Corner:
    """A point that was timed: where one costly setting differs from a reference."""

    name: str  # of that setting; empty for the fixed settings and defaults themselves
    settings: dict[str, Any]
    cost: Cost


class CostModel:
    """Predict the cost of any point of a space from its timed corners.

    Each costly setting multiplies the time by a factor of its own, interpolated between the
    timed values as a power of the setting.
    """

    def __init__(self, corners: Iterable[Corner], base: Mapping[str, Any], *, far: bool) -> None:
        """Take the timed corners.

        Args:
            corners: the first is that of the fixed settings and defaults.
            base: what a setting is where it is not searched.
            far: env runners sample in processes of their own, as in Ray.
        """
        self.corners = list(corners)
        self.reference = self.corners[0].cost
        self._base, self._far = base, far
        self._names = {corner.name for corner in self.corners} - {""}

    def predict(self, settings: Mapping[str, Any]) -> Cost:
        """Return the cost under some searched settings; others keep their fixed values."""
        cost = self.reference
        runners = settings.get(RUNNERS, self._base[RUNNERS]) if self._far else 0
        return Cost(
            sample_seconds=self._scaled("sample_seconds", settings) / max(1, runners),
            learn_seconds=self._scaled("learn_seconds", settings),
            spread=cost.spread,
            waiting=cost.waiting,
            agent_steps=self._scaled("agent_steps", settings),
            memory_mb=self._scaled("memory_mb", settings),
            checkpoint_bytes=round(self._scaled("checkpoint_bytes", settings)),
            weights_bytes=round(self._scaled("weights_bytes", settings)),
        )

    def _scaled(self, what: str, settings: Mapping[str, Any]) -> float:
        product = float(getattr(self.reference, what))
        for name in self._names & settings.keys():
            product *= self._factor(name, settings[name], what)
        return product

    def _factor(self, name: str, value: Any, what: str) -> float:
        corners = [corner for corner in self.corners if corner.name == name]
        known = {plain(c.settings[name]): float(getattr(c.cost, what)) for c in corners}
        reference = known[plain(self._base[name])]
        if plain(value) in known:
            return known[plain(value)] / reference
        if not all(map(is_number, (*known, value))):
            return 1.0
        return _power_between(known, value) / reference


def _power_between(known: Mapping[float, float], value: float) -> float:
    """Interpolate y between the two known x around a value, straight in log x and log y."""
    below = max((x for x in known if x <= value), default=min(known))
    above = min((x for x in known if x >= value), default=max(known))
    if below == above:
        return known[below]
    low, high = (math.log(max(x, 1e-9)) for x in (below, above))
    share = (math.log(max(value, 1e-9)) - low) / (high - low)
    return float(known[below] ** (1 - share) * known[above] ** share)


def corner_settings(spec: SearchSpec) -> list[tuple[str, dict[str, Any]]]:
    """Return the points to be timed: the fixed settings, then each costly setting's extremes.

    A setting that is searched under a condition is varied where the condition holds; its own
    fixed value is timed there too, to compare with.
    """
    base = spec.experiment.flat()
    points: list[tuple[str, dict[str, Any]]] = [("", {})]
    for name in (name for name in COSTLY if name in spec.space):
        for value in _values(spec.space[name], base[name]):
            point = active(spec.space, {**needed(spec.space, name), name: value}, base)
            if _is_sound(spec.experiment, point):
                points.append((name, point))
    return points


def _values(dimension: Dimension, base: Any) -> list[Any]:
    distinct = {plain(value): value for value in (base, *dimension.extremes)}
    return list(distinct.values())


def _is_sound(experiment: Experiment, settings: dict[str, Any]) -> bool:
    try:
        experiment.with_settings(settings)
    except InputError:  # outside the space, where the fixed settings may lie
        return False
    return True


def time_corners(spec: SearchSpec, side_by_side: int) -> list[Corner]:
    """Time a few iterations at each corner, in processes of one thread.

    Args:
        spec: the search.
        side_by_side: processes at a time, as many as the search will have trials, so that what
            they take from one another is in the figures.
    """
    points = corner_settings(spec)
    experiments = [spec.experiment.with_settings(settings) for _, settings in points]
    distinct = {_cost_key(experiment): experiment for experiment in experiments}
    context = multiprocessing.get_context("spawn")
    with _one_thread(), ProcessPoolExecutor(side_by_side, mp_context=context) as pool:
        pool.submit(compile_ahead).result()  # once, not side by side and on the clock
        trees = [experiment.model_dump() for experiment in distinct.values()]
        costs = dict(zip(distinct, pool.map(time_experiment, trees), strict=True))
    return [
        Corner(name, settings, costs[_cost_key(experiment)])
        for (name, settings), experiment in zip(points, experiments, strict=True)
    ]


def _cost_key(experiment: Experiment) -> str:
    flat = experiment.flat()
    return repr([flat[name] for name in COSTLY])


def time_experiment(tree: dict[str, Any]) -> Cost:
    """Train a few iterations in this process and return what they cost."""
    torch.set_num_threads(1)
    trainer = LocalTrainer(experiment_from(tree))
    begin = time.monotonic()
    timed = [_timed(trainer)]
    agent_steps = trainer.agent_steps
    while len(timed) <= TIMED_ITERATIONS and time.monotonic() - begin < _PATIENCE:
        timed.append(_timed(trainer))
    seconds = np.array(timed[1:] or timed)  # the first also warms up
    sampled, learned, spent = seconds.mean(axis=0)
    waiting = max(1.0, (sampled + learned) / spent)
    checkpoint, weights = _checkpoint_bytes(trainer)
    return Cost(
        sample_seconds=sampled / waiting,
        learn_seconds=learned / waiting,
        spread=float(seconds[:, 2].std() / spent),
        waiting=float(waiting),
        agent_steps=agent_steps,
        memory_mb=resident_mb(),
        checkpoint_bytes=checkpoint,
        weights_bytes=weights,
    )


def _timed(trainer: LocalTrainer) -> tuple[float, float, float]:
    """Train one iteration; return its seconds of sampling, of learning and of processor time."""
    before = trainer.cpu_seconds()
    report = trainer.train_iteration()
    return report["sample_seconds"], report["learn_seconds"], trainer.cpu_seconds() - before


def _checkpoint_bytes(trainer: LocalTrainer) -> tuple[int, int]:
    with tempfile.TemporaryDirectory() as folder:
        path = save_checkpoint(
            Path(folder), 1, trainer.experiment, trainer.weights(), trainer.write_state
        )
        sizes = {file.name: file.stat().st_size for file in path.rglob("*") if file.is_file()}
    return sum(sizes.values()), sizes["weights.safetensors"]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Have processes that are started meanwhile use one thread each."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
