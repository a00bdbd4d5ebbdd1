"""The Ray engine: a Tune ``Tuner`` that runs the trials of a search."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.execution.class_cache import DEFAULT_ENV_VARS
from ray.tune.experiment import Trial

from biomarl_tune.errors import EngineError
from biomarl_tune.experiment import Experiment
from biomarl_tune.ppo.trial import Trial as TrialPlan
from biomarl_tune.rllib.algorithm import BioPPO, BioPPOConfig
from biomarl_tune.search.cluster import ray_started
from biomarl_tune.search.conductor import Conductor
from biomarl_tune.search.schedulers import EngineLost, StudyScheduler, engine_lost
from biomarl_tune.search.searcher import StudySearcher

# Tune sets a variable for PyTorch Lightning in trials' processes. For those with variables of their
# own Ray starts new processes, which take seconds to import what the waiting ones did already.
DEFAULT_ENV_VARS.clear()

MAX_FAILURES = 3  # of a trial's process, each continued from its last checkpoint


def fit(conductor: Conductor, concurrency: int, attempt: Path) -> None:
    """Run what is left of a search.

    Args:
        conductor: of the search.
        concurrency: trials under way at a time.
        attempt: the folder for Tune's own files; nothing is read back from it.

    Raises:
        EngineError: Ray was lost.
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
    try:
        tuner.fit()
    except (EngineLost, Exception) as error:
        if not engine_lost():
            raise
        msg = "Ray was lost: a process of its own has died; what was recorded is intact, resume"
        raise EngineError(msg) from error


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
