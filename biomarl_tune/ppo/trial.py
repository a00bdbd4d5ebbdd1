"""A trial: a trainer that counts, reports, writes checkpoints and goes on from them."""

from __future__ import annotations

import json
import logging
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from biomarl_tune.errors import StorageError
from biomarl_tune.experiment import Experiment, Settings
from biomarl_tune.ppo.checkpoint import keep_newest, latest_checkpoint, save_checkpoint

_KEPT = 2  # checkpoints of a trial: the newest, and the one before in case it is damaged
_PROGRESS = "progress.json"

_log = logging.getLogger(__name__)


class Trial(Settings):
    """What a search tells the process that runs one of its trials."""

    number: int
    directory: Path
    max_iterations: int
    checkpoint_iterations: tuple[int, ...] = ()
    checkpoint_seconds: float = 60.0
    stages: tuple[tuple[int, int], ...] = ()  # (iteration, training seeds); none for a single seed
    seed: int = 0  # index of the training seed
    lost_seeds: tuple[int, ...] = ()  # those that have crashed

    @property
    def checkpoints(self) -> Path:
        """The folder of the trial's checkpoints, or of those of its training seed after the 0th."""
        folder = self.directory / "checkpoints"
        return folder / f"seed-{self.seed}" if self.seed else folder

    def of_seed(self, index: int) -> Trial:
        """Return the part of a trial that is one of its training seeds."""
        return self.model_copy(update={"seed": index})

    def checkpoint_due(self, iteration: int, *, seconds_since_last: float) -> bool:
        """Tell whether a checkpoint has to be written after an iteration.

        At the search's rungs, at the end, when the last is old, and when the search is being
        interrupted, which the file ``interrupt`` in the run directory says.
        """
        return (
            iteration in self.checkpoint_iterations
            or iteration >= self.max_iterations
            or seconds_since_last >= self.checkpoint_seconds
            or (self.directory.parent.parent / "interrupt").exists()
        )


class Trainer(Protocol):
    """What trains, in either engine."""

    experiment: Experiment

    def train_iteration(self) -> dict[str, float]:
        """Sample and learn once; return the scalars."""

    def weights(self) -> dict[str, Tensor]:
        """Return the brain's weights."""

    def write_state(self, folder: Path) -> None:
        """Write all that training depends on from here."""

    def read_state(self, folder: Path) -> None:
        """Continue where ``write_state`` was called."""

    def cpu_seconds(self) -> float:
        """Return the processor time used so far, that of helping processes included."""


@dataclass
class Progress:
    """How far a trial has come; survives its restores."""

    iteration: int = 0
    seconds: float = 0.0  # wall time of the iterations
    cpu_seconds: float = 0.0


class TrialRun:
    """Run a trainer as a trial of a search.

    It goes on from the newest checkpoint in the trial's folder that verifies, if there is one:
    an interrupted search, a process that was lost and a node that was lost are the same case.
    Its first report is then the checkpoint's own, marked ``again``, because the search may have
    ended before it was recorded. A checkpoint of the other engine, or of other settings, is no
    state that this trainer can go on from: the trial starts over.

    Args:
        trial: where and how long.
        trainer: fresh, or to be overwritten by the checkpoint.
    """

    def __init__(self, trial: Trial, trainer: Trainer) -> None:
        self.trial = trial
        self._trainer = trainer
        self._progress = Progress()
        self._checkpoint = ""
        self._checkpoint_time = time.monotonic()
        self._again: dict[str, Any] | None = None
        newest = latest_checkpoint(trial.checkpoints)
        if newest is not None:
            self._continue_from(newest)

    def _continue_from(self, checkpoint: Path) -> None:
        saved = json.loads((checkpoint / "state" / _PROGRESS).read_text())
        if foreign := self._foreign(checkpoint, saved):
            _log.warning("trial %s starts over: %s %s", self.trial.number, checkpoint, foreign)
            keep_newest(self.trial.checkpoints, 0)
            return
        self._trainer.read_state(checkpoint / "state")
        self._progress = Progress(**saved["progress"])
        self._checkpoint = checkpoint.relative_to(self.trial.directory).as_posix()
        self._again = {
            **saved["report"],
            "checkpoint": self._checkpoint,
            "saved": True,
            "again": True,
        }

    def _foreign(self, checkpoint: Path, saved: dict[str, Any]) -> str:
        engine = saved.get("engine")
        if engine != type(self._trainer).__name__:
            return f"was written by {engine}"
        text = (checkpoint / "experiment.json").read_text()
        if Experiment.model_validate_json(text) != self._trainer.experiment:
            return "has other settings"
        return ""

    def step(self) -> dict[str, Any]:
        """Run one iteration and return its report.

        Returns:
            The named scalars with ``iteration`` (from 1), ``seconds``, ``cpu_seconds`` and
            ``checkpoint`` (relative to the trial's folder, or empty) and ``saved`` (whether that
            is of this iteration); when the trial cannot go on, ``failure`` (one line) and
            ``traceback``; or, when its checkpoint could not be written, ``storage`` (one line),
            which is no fault of the trial.
        """
        if self._again is not None:
            report, self._again = self._again, None
            return report
        try:
            return self._iterate()
        except StorageError as error:
            return {"storage": str(error)}
        except Exception as error:  # noqa: BLE001 - whatever it is ends the trial, not the search
            return failure_report(error)

    def _iterate(self) -> dict[str, Any]:
        progress = self._progress
        wall, cpu = time.perf_counter(), self._trainer.cpu_seconds()
        scalars = self._trainer.train_iteration()
        progress.iteration += 1
        progress.seconds += time.perf_counter() - wall
        progress.cpu_seconds += self._trainer.cpu_seconds() - cpu
        report = {**scalars, **asdict(progress)}
        since_last = time.monotonic() - self._checkpoint_time
        saved = self.trial.checkpoint_due(progress.iteration, seconds_since_last=since_last)
        if saved:
            self._save(report)
        return {**report, "checkpoint": self._checkpoint, "saved": saved}

    def _save(self, report: dict[str, Any]) -> None:
        def write_state(folder: Path) -> None:
            self._trainer.write_state(folder)
            saved = {
                "engine": type(self._trainer).__name__,
                "progress": asdict(self._progress),
                "report": report,
            }
            (folder / _PROGRESS).write_text(json.dumps(saved))

        try:
            path = save_checkpoint(
                self.trial.checkpoints,
                self._progress.iteration,
                self._trainer.experiment,
                self._trainer.weights(),
                write_state,
            )
            keep_newest(self.trial.checkpoints, _KEPT)
        except OSError as error:
            msg = (
                f"{self.trial.checkpoints}: a checkpoint cannot be written ({error.strerror}); "
                "free or mend the disk, then resume"
            )
            raise StorageError(msg) from error
        self._checkpoint = path.relative_to(self.trial.directory).as_posix()
        self._checkpoint_time = time.monotonic()


def failure_report(error: Exception) -> dict[str, Any]:
    """Return the report of a trial that cannot go on: the reason on one line, and the traceback."""
    lines = str(error).strip().splitlines()
    reason = f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__
    return {"failure": reason, "traceback": traceback.format_exc()}
