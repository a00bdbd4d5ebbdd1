"""The Ray engine: a Tune ``Tuner`` that runs the trials of a search."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial

from biomarl_tune.errors import EngineError
from biomarl_tune.experiment import Experiment
from biomarl_tune.ppo.trial import Trial as TrialPlan
from biomarl_tune.rllib.algorithm import BioPPO, BioPPOConfig
from biomarl_tune.search.conductor import Conductor
from biomarl_tune.search.schedulers import StudyScheduler
from biomarl_tune.search.searcher import StudySearcher

MAX_FAILURES = 3  # of a trial's process, each continued from its last checkpoint

_SWITCHES = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # TensorBoard and tables are written from the record
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # signals are the search's
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",  # for a trial's process to end before it is killed
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # nothing is read back from Tune's snapshots
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "OMP_NUM_THREADS": "1",  # one thread a trial, trials side by side
}


@contextlib.contextmanager
def ray_started(cpus: int, address: str | None = None) -> Iterator[None]:
    """Start Ray, or join a cluster, and leave nothing behind.

    Args:
        cpus: of this machine that trials may use.
        address: of a running cluster; by default Ray is started here.

    Raises:
        EngineError: Ray cannot start.
    """
    for name, value in _SWITCHES.items():
        os.environ.setdefault(name, value)
    here = {} if address else {"num_cpus": cpus, "include_dashboard": False}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING, **here)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        msg = f"Ray cannot start: {reason}; try --engine local"
        raise EngineError(msg) from error
    try:
        yield
    finally:
        ray.shutdown()


def fit(conductor: Conductor, concurrency: int, attempt: Path) -> None:
    """Run what is left of a search.

    Args:
        conductor: of the search.
        concurrency: trials under way at a time.
        attempt: the folder for Tune's own files; nothing is read back from it.
    """
    study = conductor.study
    done = sum(trial.finished for trial in study.trials())
    tuner = tune.Tuner(
        BioPPO,
        tune_config=tune.TuneConfig(
            search_alg=StudySearcher(conductor),
            scheduler=StudyScheduler(conductor),
            num_samples=study.spec.search.trials - done,
            max_concurrent_trials=concurrency,
            reuse_actors=True,
            trial_dirname_creator=_folder_name,
        ),
        run_config=tune.RunConfig(
            name=attempt.name,
            storage_path=str(attempt.parent.absolute()),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=0, checkpoint_at_end=False
            ),
        ),
    )
    tuner.fit()


def _folder_name(trial: Trial) -> str:
    """Name Tune's own folder of a trial shortly; by default it lists every setting."""
    return f"{trial.config['trial']['number']}-{trial.trial_id}"


@contextlib.contextmanager
def algorithm_steps(
    experiment: Experiment, plan: TrialPlan, cpus: int
) -> Iterator[Callable[[], dict[str, Any]]]:
    """Build RLlib's algorithm for one experiment, without Tune, and yield what steps it.

    Raises:
        EngineError: Ray cannot start.
    """
    with ray_started(cpus):
        algorithm = BioPPOConfig.from_experiment(experiment, plan).build_algo()
        try:
            yield algorithm.step
        finally:
            algorithm.stop()
