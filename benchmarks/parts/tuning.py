"""The same small search through stock Ray Tune and through ours."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

import psutil

ITERATIONS, GRACE, REDUCTION, SEED = 5, 2, 3, 0
DECAY, RATE = (0.5, 0.99), (1e-4, 3e-3)
METRIC = "episode_return_mean"
# A report tells what the brain earned before it learned from that batch. After the first one none
# of what is searched here has had an effect, so a rung there would compare chance, or nothing at
# all where trials share their seed: hence a grace of two.

SPEC = """
name: search
seed: {seed}
experiment:
  env: {{max_episode_steps: 100}}
  model: {{hidden_dim: 64}}
  ppo: {{train_batch_size: 4000, minibatch_size: 512, rollout_steps: 44, num_epochs: 4}}
space:
  env.pheromone_decay: {{uniform: [{decay[0]}, {decay[1]}]}}
  ppo.learning_rate: {{loguniform: [{rate[0]}, {rate[1]}]}}
objective: {{metric: {metric}, mode: max}}
search: {{sampler: tpe, trials: {trials}, concurrency: {concurrency}}}
stopping: {{scheduler: asha, max_iterations: {iterations}, grace_iterations: {grace},
  reduction: {reduction}}}
evaluation: {{top: 1, seeds: 1, episodes_per_seed: 1}}
"""


def spec_text(trials: int, concurrency: int) -> str:
    """Return the search as a search space of ours."""
    return SPEC.format(
        seed=SEED,
        decay=DECAY,
        rate=RATE,
        metric=METRIC,
        trials=trials,
        concurrency=concurrency,
        iterations=ITERATIONS,
        grace=GRACE,
        reduction=REDUCTION,
    )


def ours(trials: int, concurrency: int, folder: Path) -> dict[str, Any]:
    """Run the search through the program's own engine; Ray is up when the clock starts."""
    from biomarl_tune.search.cluster import ray_started
    from biomarl_tune.search.conductor import Conductor
    from biomarl_tune.search.spec import parse_spec
    from biomarl_tune.search.study import Study
    from biomarl_tune.search.tuner import fit

    text = spec_text(trials, concurrency)
    spec = parse_spec(text, "benchmark")
    with Study.create(folder, spec, text) as study, ray_started(concurrency):
        clock = Clock()
        fit(Conductor(study, ()), concurrency, study.directory.new_attempt())
        spent = clock.read()
        reports = study.reports()
    last = {report.number: report for report in reports}
    training = sum(report.cpu_seconds for report in last.values())
    return {**spent, "training_cpu_seconds": training, "iterations": len(reports)}


def stock(trials: int, concurrency: int, folder: Path) -> dict[str, Any]:
    """Run it through ``Tuner``, stock PPO, ``OptunaSearch`` and ``ASHAScheduler``."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    from biomarl_tune.experiment import Experiment
    from parts.stock import stock_config

    settings = {"env.max_episode_steps": 100, "model.hidden_dim": 64}
    experiment = Experiment().with_settings(settings)
    config = stock_config(experiment, 0)
    env = {**experiment.env.model_dump(), "pheromone_decay": tune.uniform(*DECAY)}
    config = config.environment(env_config=env).training(lr=tune.loguniform(*RATE))
    ray.init(num_cpus=concurrency, include_dashboard=False, log_to_driver=False, logging_level=40)
    metric = f"env_runners/{METRIC}"
    tuner = tune.Tuner(
        "PPO",
        param_space=config,
        tune_config=tune.TuneConfig(
            metric=metric,
            mode="max",
            search_alg=OptunaSearch(metric=metric, mode="max", seed=SEED),
            scheduler=ASHAScheduler(
                max_t=ITERATIONS, grace_period=GRACE, reduction_factor=REDUCTION
            ),
            num_samples=trials,
            max_concurrent_trials=concurrency,
        ),
        run_config=tune.RunConfig(
            storage_path=str(folder), verbose=0, stop={"training_iteration": ITERATIONS}
        ),
    )
    clock = Clock()
    results = tuner.fit()
    spent = clock.read()
    training = sum(float(result.metrics.get("time_total_s", 0.0)) for result in results)
    iterations = sum(int(result.metrics.get("training_iteration", 0)) for result in results)
    return {**spent, "training_cpu_seconds": training, "iterations": iterations}


class Clock:
    """Wall time, and processor time of this process and all that it started.

    Processes that end take their processor time with them, so it is looked up all the while.
    """

    def __init__(self) -> None:
        self._spent: dict[int, float] = {}
        self._look()
        self._cpu, self._wall = sum(self._spent.values()), time.perf_counter()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._keep_looking, daemon=True)
        self._watch.start()

    def read(self) -> dict[str, float]:
        """Return what has passed, and stop looking."""
        wall = time.perf_counter() - self._wall
        self._over.set()
        self._watch.join()
        self._look()
        return {"seconds": wall, "cpu_seconds": sum(self._spent.values()) - self._cpu}

    def _keep_looking(self) -> None:
        while not self._over.wait(0.25):
            self._look()

    def _look(self) -> None:
        root = psutil.Process()
        for process in [root, *root.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                self._spent[process.pid] = times.user + times.system
