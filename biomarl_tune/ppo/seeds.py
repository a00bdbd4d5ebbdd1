"""A trial with several training seeds: one after another in its process, stage by stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from biomarl_tune.experiment import Experiment
from biomarl_tune.ppo.checkpoint import latest_checkpoint
from biomarl_tune.ppo.trial import Trial, TrialRun, failure_report

Begin = Callable[[int], TrialRun]


def with_training_seed(experiment: Experiment, index: int) -> Experiment:
    """Return an experiment under its n-th training seed; the 0th is its own."""
    if index == 0:
        return experiment
    drawn = int(np.random.SeedSequence([experiment.seed, index]).generate_state(1)[0]) >> 1
    return experiment.model_copy(update={"seed": drawn})


class SeedRuns:
    """Run a trial's training seeds, those of a stage one after another, then the next stage's.

    A seed that ended at a rung goes on from its checkpoint there. What a dead process left behind
    is taken up in the same way; each seed's newest checkpoint is reported ``again`` first. A seed
    that crashes is left out from then on; what it counts as, the search decides.

    Args:
        trial: with its stages.
        begin: builds the run of a training seed, in the place of the one before.
    """

    def __init__(self, trial: Trial, begin: Begin) -> None:
        self._trial = trial
        self._begin = begin
        self._lost = set(trial.lost_seeds)
        self._done: dict[int, int] = {}
        self._seed = -1  # whose run this is; none yet
        self._run: TrialRun | None = None
        self._left_behind = [
            seed
            for seed in range(trial.stages[-1][1])
            if seed not in self._lost and latest_checkpoint(trial.of_seed(seed).checkpoints)
        ]

    def step(self) -> dict[str, Any]:
        """Run one iteration of the seed whose turn it is and return its report, with ``seed``."""
        seed = self._left_behind.pop(0) if self._left_behind else self._turn()
        report = {**self._step(seed), "seed": seed}
        if "failure" in report:
            self._lost.add(seed)
        elif "iteration" in report:
            self._done[seed] = int(report["iteration"])
        return report

    def _step(self, seed: int) -> dict[str, Any]:
        try:
            if seed != self._seed or self._run is None:
                self._run = self._begin(seed)
                self._seed = seed
            return self._run.step()
        except Exception as error:  # noqa: BLE001 - it ends this seed, not the search
            self._run = None
            return failure_report(error)

    def _turn(self) -> int:
        for level, seeds in self._trial.stages:
            for seed in range(seeds):
                if seed not in self._lost and self._done.get(seed, 0) < level:
                    return seed
        msg = f"trial {self._trial.number} has been run to its end"
        raise AssertionError(msg)
