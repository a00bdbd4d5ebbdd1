"""A search played through without training: how long, how many iterations, how much on disk."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from biomarl_tune.search.racing import stages
from biomarl_tune.search.rungs import decide, rung_levels
from biomarl_tune.search.sections import Stopping
from biomarl_tune.search.space import suggest
from biomarl_tune.search.spec import SearchSpec

RANDOM_START = 10  # proposals that Optuna's samplers draw at random before they learn
_COPIED = 0.8  # of the settings a learning sampler proposes, how many are those of the best trial
_MOST_DECISIONS = 10  # of a trial under the median rule, which decides at every iteration
_NOISE = 0.5  # of a trial's rank at a decision, in standard deviations of the trials' quality


@dataclass(frozen=True)
class Machine:
    """What runs a search.

    Attributes:
        cpus: that trials may use.
        concurrency: trials side by side at most, those that wait for a processor included.
        new_process: seconds until a trial in a new process begins its first iteration.
        reused_process: the same where a process of as many processors has just become free.
    """

    cpus: int
    concurrency: int
    new_process: float
    reused_process: float


@dataclass
class Outcome:
    """How one played search went."""

    seconds: float = 0.0
    begun: int = 0  # trials, before the budget's minutes were over
    iterations: dict[int, int] = field(default_factory=dict)  # that a trial came to
    work: dict[int, int] = field(default_factory=dict)  # iterations of all its training seeds
    settings: dict[int, dict[str, Any]] = field(default_factory=dict)  # the searched ones


def play_search(
    spec: SearchSpec,
    seconds: Callable[[Mapping[str, Any]], float],
    cpus: Callable[[Mapping[str, Any]], int],
    machine: Machine,
    rng: np.random.Generator,
) -> Outcome:
    """Play a search through: its proposals, rungs, budget and the wait for processors.

    How good a setting is nobody knows beforehand. It is drawn, with a random tendency that dearer
    settings are better, as wider networks often are; a sampler that learns is taken to repeat
    settings of the best trial, and with them a share of what makes it good.

    Args:
        spec: the search.
        seconds: of one iteration under some settings.
        cpus: that a trial under some settings needs.
        machine: what it runs on.
        rng: draws settings, their quality and the noise of the rungs.
    """
    return _Player(spec, seconds, cpus, machine, rng).play()


class _Player:
    def __init__(
        self,
        spec: SearchSpec,
        seconds: Callable[[Mapping[str, Any]], float],
        cpus: Callable[[Mapping[str, Any]], int],
        machine: Machine,
        rng: np.random.Generator,
    ) -> None:
        self._spec, self._machine, self._rng = spec, machine, rng
        self._seconds, self._cpus = seconds, cpus
        self._base = spec.experiment.flat()
        self._tendency = float(rng.uniform(0, 1))
        self._stops = decision_iterations(spec.stopping)
        plan = stages(spec.stopping, spec.search.seeds_per_trial)
        self._seeds = {stage.level: stage.seeds for stage in plan}
        self._outcome = Outcome()
        self._quality: dict[int, float] = {}
        self._luck: dict[int, float] = {}  # the part of the quality that cost does not explain
        self._condemned: set[int] = set()  # but running on for the audit
        self._curves: dict[int, dict[int, float]] = {}
        self._waiting: list[int] = []
        self._events: list[tuple[float, int]] = []  # a trial comes to its next decision
        self._free = machine.cpus
        self._released = 0  # processors of the process that has just become free

    def play(self) -> Outcome:
        budget = self._spec.budget.minutes
        limit = float("inf") if budget is None else 60.0 * budget
        now = 0.0
        self._fill(now)
        while self._events:
            now, number = heapq.heappop(self._events)
            if now > limit:
                now = limit
                break
            if self._goes_on(number):
                self._begin_stage(number, now)
                continue
            self._released = self._cpus(self._outcome.settings[number])
            self._free += self._released
            self._fill(now)
        self._outcome.seconds = now
        return self._outcome

    def _fill(self, now: float) -> None:
        """Propose and place trials; a process is kept for a trial that needs one like it."""
        under_way = len(self._events) + len(self._waiting)
        while under_way < self._machine.concurrency:
            if self._outcome.begun == self._spec.search.trials:
                break
            self._waiting.append(self._propose())
            under_way += 1
        alike = [n for n in self._waiting if self._needs(n) == self._released]
        for number in (*alike, *(n for n in self._waiting if n not in alike)):
            if self._needs(number) <= self._free:
                self._waiting.remove(number)
                self._free -= self._needs(number)
                reused = self._needs(number) == self._released
                machine = self._machine
                start = machine.reused_process if reused else machine.new_process
                self._released = 0
                self._begin_stage(number, now + start)

    def _needs(self, number: int) -> int:
        return self._cpus(self._outcome.settings[number])

    def _propose(self) -> int:
        number, search = self._outcome.begun, self._spec.search
        settings = suggest(RandomDraws(self._rng), self._spec.space, self._base)
        luck = float(self._rng.normal())
        if number < len(search.start_with):
            settings = dict(search.start_with[number])
        elif search.sampler != "random" and number >= RANDOM_START:
            best = max(self._quality, key=lambda n: self._quality[n])
            for name in settings.keys() & self._outcome.settings[best].keys():
                if self._rng.random() < _COPIED:
                    settings[name] = self._outcome.settings[best][name]
            luck = _COPIED * self._luck[best] + (1 - _COPIED**2) ** 0.5 * luck
        cost = np.log(self._seconds(settings) / self._seconds({}))
        self._outcome.begun += 1
        self._outcome.settings[number], self._luck[number] = settings, luck
        self._quality[number] = float(self._tendency * cost + (1 - self._tendency) * luck)
        self._outcome.iterations[number] = self._outcome.work[number] = 0
        return number

    def _begin_stage(self, number: int, now: float) -> None:
        done = self._outcome.work[number]
        target = next(s for s in self._stops if s > self._outcome.iterations[number])
        self._outcome.iterations[number] = target
        self._outcome.work[number] = target * self._seeds.get(target, 1)
        more = self._outcome.work[number] - done
        duration = more * self._seconds(self._outcome.settings[number])
        heapq.heappush(self._events, (now + duration, number))

    def _goes_on(self, number: int) -> bool:
        iteration, stopping = self._outcome.iterations[number], self._spec.stopping
        if iteration >= stopping.max_iterations:
            return False
        if number in self._condemned:
            return True
        value = self._quality[number] + _NOISE * self._rng.normal()
        self._curves.setdefault(number, {})[iteration] = value
        if decide(self._curves, number, iteration, stopping, "max").action == "continue":
            return True
        if self._rng.random() >= stopping.audit:
            return False
        self._condemned.add(number)
        return True


def decision_iterations(stopping: Stopping) -> tuple[int, ...]:
    """Return the iterations after which a trial may end, the last included."""
    last = stopping.max_iterations
    if stopping.scheduler == "median":
        stride = max(1, (last - stopping.grace_iterations) // _MOST_DECISIONS)
        return (*range(stopping.grace_iterations, last, stride), last)
    return (*rung_levels(stopping), last)


class RandomDraws:
    """Values drawn evenly from a space, in the way that `space.suggest` asks for them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        """Draw a float; the bounds are inclusive."""
        if log:
            return float(np.exp(self._rng.uniform(np.log(low), np.log(high))))
        if step is not None:
            return low + step * int(self._rng.integers(round((high - low) / step) + 1))
        return float(self._rng.uniform(low, high))

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """Draw an integer; the bounds are inclusive."""
        if log:
            drawn = np.exp(self._rng.uniform(np.log(low), np.log(high + 1)))
            return min(high, int(drawn))
        return low + step * int(self._rng.integers((high - low) // step + 1))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Draw one of the choices."""
        return choices[int(self._rng.integers(len(choices)))]
