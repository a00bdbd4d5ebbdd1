"""How far the trials of a search are: the record's content as its process keeps it in memory."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from biomarl_tune.search import rungs
from biomarl_tune.search.racing import Stage, field_of, finished_stage, race
from biomarl_tune.search.sections import Objective, Stopping
from biomarl_tune.search.trial import Report, Trial


class Progress:
    """Trials by number, the last iteration of each training seed, and the curves.

    Attributes:
        trials: by number.
        curves: the first objective by trial number and iteration, as the stopping rules read it.
    """

    def __init__(
        self,
        trials: dict[int, Trial],
        reports: Sequence[Report],
        objective: tuple[Objective, ...],
        plan: tuple[Stage, ...] = (),
    ) -> None:
        """Take in the record.

        Args:
            trials: by number.
            reports: in the order of recording.
            objective: of the search.
            plan: the stages of a trial, where it has several training seeds.
        """
        self._objective = objective
        self._plan = plan
        self._last = {(report.number, report.seed): report.iteration for report in reports}
        self.trials = trials
        self.curves = self.curves_of(reports)
        self._newest: dict[int, dict[int, Report]] = {}  # by trial and seed, if there are several
        self._values: dict[int, dict[int, dict[int, float]]] = {}
        for report in reports if plan else ():
            self._remember_seed(report)

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
        if self._plan:
            self._remember_seed(report)
            return
        self.trials[report.number] = replace(self.trials[report.number], last=report)
        curve = self.curves.setdefault(report.number, {})
        for redone in [iteration for iteration in curve if iteration > report.iteration]:
            del curve[redone]
        curve[report.iteration] = self.value(report)

    def newest(self, number: int) -> dict[int, Report]:
        """Return the newest report of each training seed of a trial."""
        if self._plan:
            return self._newest.get(number, {})
        last = self.trials[number].last
        return {0: last} if last else {}

    def _remember_seed(self, report: Report) -> None:
        self._newest.setdefault(report.number, {})[report.seed] = report
        curve = self._values.setdefault(report.number, {}).setdefault(report.seed, {})
        for redone in [iteration for iteration in curve if iteration > report.iteration]:
            del curve[redone]
        curve[report.iteration] = self.value(report)
        self.summarise(report.number)

    def summarise(self, number: int) -> None:
        """Let a trial's newest report be that of the stage it has finished, over all its seeds.

        Within a stage it is that of the first seed.
        """
        newest = self._newest.get(number)
        if newest:
            stage = self.finished_stage(number)
            last = self._merged(number, stage) if stage else newest[min(newest)]
            self.trials[number] = replace(self.trials[number], last=last)

    def finished_stage(self, number: int) -> Stage | None:
        """Return the stage that a trial has just finished, None within one."""
        done = {seed: report.iteration for seed, report in self._newest.get(number, {}).items()}
        return finished_stage(self._plan, done, self.trials[number].lost_seeds)

    def decide(self, number: int, stopping: Stopping) -> rungs.Decision:
        """Apply the stopping rule to a trial at its newest report."""
        condemned = {n: trial.audited for n, trial in self.trials.items() if trial.audited}
        mode = self._objective[0].mode
        if not self._plan:
            seen = rungs.as_judged(self.curves, condemned)
            return rungs.decide(seen, number, self.trials[number].iteration, stopping, mode)
        stage = self.finished_stage(number)
        if stage is None or stage.level >= stopping.max_iterations:
            return rungs.GO_ON
        return race(self.field(stage, condemned), number, stage, stopping.reduction, mode)

    def field(self, stage: Stage, condemned: Mapping[int, int]) -> dict[int, dict[int, float]]:
        """Return the objective of each trial and seed at a stage; see `racing.field_of`.

        Args:
            stage: the one that its trials have finished.
            condemned: the iteration at which a trial was, that runs on for the audit.
        """
        seen = {
            number: seeds
            for number, seeds in self._values.items()
            if stage.level <= condemned.get(number, stage.level)
        }
        lost = {number: self.trials[number].lost_seeds for number in seen}
        return field_of(seen, stage, lost, self._objective[0].mode)

    def _merged(self, number: int, stage: Stage) -> Report:
        trial, newest = self.trials[number], self._newest[number]
        living = [newest[s] for s in range(stage.seeds) if s not in trial.lost_seeds]
        scalars = {
            name: statistics.fmean(report.scalars.get(name, math.nan) for report in living)
            for name in living[0].scalars
        }
        scalars["agent_steps"] = sum(r.value("agent_steps") for r in newest.values())
        metric = self._objective[0].metric
        if metric in scalars:
            scalars[metric] = statistics.fmean(self.field(stage, {})[number].values())
        return replace(
            living[0],
            sequence=max(report.sequence for report in newest.values()),
            iteration=stage.level,
            seconds=sum(report.seconds for report in newest.values()),
            cpu_seconds=sum(report.cpu_seconds for report in newest.values()),
            scalars=scalars,
        )

    def curves_of(self, reports: Iterable[Report]) -> dict[int, dict[int, float]]:
        """Return the curves that some reports give."""
        return rungs.curves_of(
            (report.number, report.iteration, self.value(report))
            for report in reports
            if report.seed == 0
        )
