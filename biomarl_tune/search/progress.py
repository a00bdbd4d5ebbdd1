"""How far the trials of a search are: the record's content as its process keeps it in memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from biomarl_tune.search import rungs
from biomarl_tune.search.sections import Objective
from biomarl_tune.search.trial import Report, Trial


class Progress:
    """Trials by number, the last iteration of each training seed, and the curves.

    Attributes:
        trials: by number.
        curves: the first objective by trial number and iteration, as the stopping rules read it.
    """

    def __init__(
        self, trials: dict[int, Trial], reports: Sequence[Report], objective: tuple[Objective, ...]
    ) -> None:
        self._objective = objective
        self._last = {(report.number, report.seed): report.iteration for report in reports}
        self.trials = trials
        self.curves = self.curves_of(reports)

    def last_iteration(self, number: int, seed: int = 0) -> int:
        """Return the last iteration reported, 0 before the first."""
        return self._last.get((number, seed), 0)

    def waiting(self) -> Trial | None:
        """Return the first trial that was interrupted."""
        waiting = [number for number, trial in self.trials.items() if trial.state == "WAITING"]
        return self.trials[min(waiting)] if waiting else None

    def value(self, report: Report) -> float:
        """Return the first objective at a report."""
        return report.value(self._objective[0].metric)

    def fault(self, report: Report) -> str:
        """Return in words which objective of a report is missing or not finite; empty if none."""
        for objective in self._objective:
            value = report.value(objective.metric)
            if not math.isfinite(value):
                return f"{objective.metric} is {value} at iteration {report.iteration}"
        return ""

    def remember(self, report: Report) -> None:
        """Take in a report; those from its iteration on are forgotten."""
        self._last[report.number, report.seed] = report.iteration
        if report.seed != 0:
            return
        self.trials[report.number] = replace(self.trials[report.number], last=report)
        curve = self.curves.setdefault(report.number, {})
        for redone in [iteration for iteration in curve if iteration > report.iteration]:
            del curve[redone]
        curve[report.iteration] = self.value(report)

    def curves_of(self, reports: Iterable[Report]) -> dict[int, dict[int, float]]:
        """Return the curves that some reports give."""
        return rungs.curves_of(
            (report.number, report.iteration, self.value(report))
            for report in reports
            if report.seed == 0
        )
