"""Sides of a comparison: each in a process of its own, all kept warm, timed in turns."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import psutil


class Workload(Protocol):
    """What a side does over and over."""

    def iterate(self) -> int:
        """Do one unit of work and return its agent steps."""


def serve(workload: Workload) -> None:
    """Be a side: warm up, then do as many iterations as each line of standard input says."""
    workload.iterate()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        begin = time.perf_counter()
        steps = sum(workload.iterate() for _ in range(int(line)))
        print(json.dumps([steps, time.perf_counter() - begin]), flush=True)


@dataclass
class Side:
    """A running side and what was measured of it."""

    who: str
    hidden: int
    threads: int
    iterations: int  # of one measurement
    arguments: Sequence[str]
    rates: list[float] = field(default_factory=list)  # agent steps a second
    costs: list[float] = field(default_factory=list)  # CPU seconds a million agent steps

    def start(self, script: str) -> Side:
        """Start the process; ``script`` has to serve what ``arguments`` name."""
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.threads), "RAY_DEDUP_LOGS": "0"}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", script, *self.arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        return self

    def wait(self) -> None:
        """Wait until the side has warmed up."""
        self._answer()

    def begin(self) -> None:
        """Begin one measurement."""
        self._cpu = self._cpu_seconds()
        assert self._process.stdin is not None
        print(self.iterations, file=self._process.stdin, flush=True)

    def end(self) -> tuple[float, float]:
        """Return the agent steps a second of the measurement, and CPU seconds a million."""
        steps, seconds = self._answer()
        return steps / seconds, 1e6 * (self._cpu_seconds() - self._cpu) / steps

    def measure(self) -> None:
        """Take one measurement down."""
        self.begin()
        rate, cost = self.end()
        self.rates.append(rate)
        self.costs.append(cost)

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def row(self) -> dict[str, Any]:
        """Return the table's row."""
        return {
            "who": self.who,
            "hidden": self.hidden,
            "threads": self.threads,
            "agent_steps_per_second": statistics.median(self.rates),
            "median": statistics.median(self.rates),
            "min": min(self.rates),
            "max": max(self.rates),
            "cpu_seconds_per_million": statistics.median(self.costs),
        }

    def _answer(self) -> Any:
        """Return the side's next answer; what libraries print in between is passed over."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(("[", '"ready"')):
                return json.loads(line)
        sys.exit(f"{self.who}: ended with {self._process.wait()}")

    def _cpu_seconds(self) -> float:
        """Return the processor time of the side's processes so far."""
        root = psutil.Process(self._process.pid)
        return sum(_spent(process) for process in [root, *root.children(recursive=True)])


def _spent(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median over the repetitions of one side's rate over another's."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def in_turns(measurements: Sequence[Callable[[], None]], repetitions: int) -> None:
    """Take every measurement in turn, several times over."""
    for _ in range(repetitions):
        for measure in measurements:
            measure()
