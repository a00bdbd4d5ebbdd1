"""A proposal, a trial and a report, as the record holds them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from biomarl_tune.experiment import Experiment
from biomarl_tune.search.sections import Objective

State = Literal["WAITING", "RUNNING", "COMPLETE", "PRUNED", "FAILED"]
EndState = Literal["COMPLETE", "PRUNED", "FAILED"]
ALL_DONE = "all iterations done"  # why a COMPLETE trial stopped
FINISHED: frozenset[State] = frozenset({"COMPLETE", "PRUNED", "FAILED"})


@dataclass(frozen=True)
class Report:
    """What a trial reported after one iteration.

    Attributes:
        sequence: order of recording over the whole search; later is larger.
        number: of the trial.
        seed: index of the training seed; 0 is the experiment's own.
        iteration: from 1.
        seconds: wall time of the trial so far.
        cpu_seconds: processor time of the trial so far.
        checkpoint: newest one, relative to the trial's directory; empty if there is none.
        checkpoint_sha256: of its manifest; empty if that cannot be read here.
        scalars: by the names of scalars.py; NaN where the trial gave no finite number.
    """

    sequence: int
    number: int
    seed: int
    iteration: int
    seconds: float
    cpu_seconds: float
    checkpoint: str
    checkpoint_sha256: str
    scalars: dict[str, float]

    def value(self, metric: str) -> float:
        """Return a scalar, or the trial's seconds; NaN if it was not reported."""
        times = {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds}
        return times.get(metric, self.scalars.get(metric, math.nan))

    def values(self, objective: tuple[Objective, ...]) -> tuple[float, ...]:
        """Return the objectives of the search at this report."""
        return tuple(self.value(part.metric) for part in objective)


@dataclass(frozen=True)
class Trial:
    """A trial of the search.

    Attributes:
        number: from 0, in the order of proposal.
        state: WAITING trials have run before and go on; the last three states are final.
        settings: the searched settings, by dotted name.
        start: who proposed them.
        why: the same in words.
        last: the newest report; None before the first.
        stopped_because: empty until the trial has ended.
        error: of a failed trial.
        audited: the iteration at which it was condemned, where it ran on to check the rule; else 0.
        condemned: the rule's reason at that iteration.
        lost_seeds: the training seeds that crashed, and why.
        system: what Optuna's sampler wants remembered of the proposal.
    """

    number: int
    state: State
    settings: dict[str, Any]
    start: Literal["start_with", "sampler"]
    why: str
    last: Report | None = None
    stopped_because: str = ""
    error: str = ""
    audited: int = 0
    condemned: str = ""
    lost_seeds: dict[int, str] = field(default_factory=dict)
    system: dict[str, Any] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether the trial has ended, one way or another."""
        return self.state in FINISHED

    @property
    def iteration(self) -> int:
        """Iterations reported so far."""
        return self.last.iteration if self.last else 0


@dataclass(frozen=True)
class Proposal:
    """A trial to run now.

    Attributes:
        number: of the trial.
        settings: the searched settings, by dotted name.
        experiment: the whole of the settings.
        start: who proposed it.
        iteration: the last one recorded; above 0 when the trial goes on after an interruption.
        lost_seeds: its training seeds that have crashed.
    """

    number: int
    settings: dict[str, Any]
    experiment: Experiment
    start: Literal["start_with", "sampler"]
    iteration: int = 0
    lost_seeds: tuple[int, ...] = ()
