"""Simulated searches: real record, conductor and checkpoints, trials that take no time.

As a program, in a process of its own that can be killed:

    python tests/faults/simulated.py RESULTS NAME --trials 100 --seed 0 [--concurrency 1]

begins the search or goes on with it, and exits as `biomarl-tune` does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from biomarl_tune.errors import BiomarlError, StoppedError, TrialError
from biomarl_tune.experiment import Experiment, experiment_from
from biomarl_tune.interruption import Interruption
from biomarl_tune.ppo.seeds import SeedRuns, with_training_seed
from biomarl_tune.ppo.trial import Trial, TrialRun
from biomarl_tune.scalars import SCALARS
from biomarl_tune.search.conductor import Conductor
from biomarl_tune.search.serial import begun, run_serially, stepped
from biomarl_tune.search.spec import parse_spec
from biomarl_tune.search.study import Study

SPACE = """\
name: {name}
seed: {seed}
experiment:
  env: {{num_agents: 4}}
  ppo: {{train_batch_size: 4000, minibatch_size: 2000}}
space:
  env.pheromone_decay: {{uniform: [0.2, 0.9]}}
  model.neural_plasticity_rate: {{loguniform: [0.005, 0.5]}}
  model.hidden_dim: {{choice: [16, 32]}}
search: {{sampler: {sampler}, trials: {trials}, start_with: [{{}}], seeds_per_trial: {seeds}}}
stopping: {{scheduler: asha, max_iterations: {iterations}, grace_iterations: 1, reduction: 3}}
evaluation: {{top: 1, seeds: 1, episodes_per_seed: 1}}
"""


def space(name="simulated", *, trials=20, iterations=9, sampler="tpe", seed=0, seeds=1):
    """Return the YAML of a simulated search."""
    return SPACE.format(
        name=name, trials=trials, iterations=iterations, sampler=sampler, seed=seed, seeds=seeds
    )


@dataclass
class Simulated:
    """A trainer whose scores are a function of its settings and the iteration.

    Args:
        experiment: the settings.
        broken: the pheromone decay above which an iteration fails.
        seconds: that an iteration takes.
    """

    experiment: Experiment
    broken: float = math.inf
    seconds: float = 0.0
    iteration: int = 0

    def train_iteration(self):
        """Return the scalars of the next iteration."""
        time.sleep(self.seconds)
        self.iteration += 1
        decay = self.experiment.env.pheromone_decay
        if decay > self.broken:
            msg = f"simulated: pheromone decay {decay} breaks the world"
            raise TrialError(msg)
        rate = math.log(self.experiment.model.neural_plasticity_rate)
        score = -abs(decay - 0.6) - 0.01 * abs(rate + 3) + 0.01 * self.iteration
        score += 0.001 * (self.experiment.seed % 17)
        score += 0.001 * self.experiment.model.hidden_dim * math.sin(self.iteration + 10 * decay)
        return {**dict.fromkeys(SCALARS, 0.0), "episode_return_mean": score}

    def weights(self):
        """Return nothing: there is no brain."""
        return {}

    def cpu_seconds(self):
        """Return nothing of note."""
        return 0.0

    def write_state(self, folder):
        """Write the iteration."""
        (folder / "simulated.json").write_text(json.dumps(self.iteration))

    def read_state(self, folder):
        """Go on after the iteration written."""
        self.iteration = json.loads((folder / "simulated.json").read_text())


def begin(config, **how):
    """Build a simulated trial from a task's config."""
    trial = Trial.model_validate(config["trial"])
    experiment = experiment_from(config["experiment"])

    def begin_seed(seed):
        return TrialRun(trial.of_seed(seed), Simulated(with_training_seed(experiment, seed), **how))

    return SeedRuns(trial, begin_seed) if trial.stages else begin_seed(0)


def opened(results, text):
    """Return the study of a simulated search, new or taken up."""
    spec = parse_spec(text)
    path = Path(results) / spec.name
    if not path.exists():
        return Study.create(Path(results), spec, text)
    study = Study.open(path)
    study.resume()
    return study


def run_side_by_side(conductor, begin_one, concurrency):
    """Run what is left of a search, with trials that take turns."""
    under_way = []
    while True:
        while len(under_way) < concurrency and (task := conductor.next_task()):
            run = begun(conductor, task, begin_one)
            if run is not None:
                under_way.append((task, run))
        if not under_way:
            return
        under_way = [(task, run) for task, run in under_way if stepped(conductor, task, run)]


def search(results, text, *, concurrency=1, begin_one=begin, observers=()):
    """Run a simulated search to its end, or go on with it.

    Raises:
        BiomarlError: as the command line would.
    """
    with opened(results, text) as study:
        conductor = Conductor(study, observers)
        study.directory.interrupt.unlink(missing_ok=True)
        with Interruption(conductor.interrupt) as listening:
            if concurrency == 1:
                run_serially(conductor, begin_one)
            else:
                run_side_by_side(conductor, begin_one, concurrency)
        if conductor.failure is not None:
            raise conductor.failure
        if listening.signal is not None:
            msg = f"stopped; go on with: biomarl-tune resume {study.directory.path}"
            raise StoppedError(msg, listening.exit_signal)
        return study.directory.path


def main():
    """Run a simulated search from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("name")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--iterations", type=int, default=9)
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.0)
    given = parser.parse_args()
    text = space(given.name, trials=given.trials, seed=given.seed, iterations=given.iterations)
    try:
        search(
            given.results,
            text,
            concurrency=given.concurrency,
            begin_one=lambda config: begin(config, seconds=given.seconds),
        )
    except BiomarlError as error:
        with contextlib.suppress(OSError):
            sys.stderr.write(f"biomarl-tune: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
