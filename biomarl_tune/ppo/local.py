"""The local engine: the plain loop of sampling and learning, without Ray."""

from __future__ import annotations

import pickle
import time
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor

from biomarl_tune.brain.joined import FlatWeights
from biomarl_tune.brain.policy import BioPolicy
from biomarl_tune.errors import TrialError
from biomarl_tune.experiment import Experiment
from biomarl_tune.ppo.episodes import play
from biomarl_tune.ppo.heap import keep_freed_memory
from biomarl_tune.ppo.losses import Batch
from biomarl_tune.ppo.measures import Measures
from biomarl_tune.ppo.optimizer import Adam
from biomarl_tune.ppo.sampling import Sampler
from biomarl_tune.ppo.update import update
from biomarl_tune.scalars import SCALARS

_STATE = "local.pkl"


def new_policy(experiment: Experiment) -> BioPolicy:
    """Return a brain whose weights depend on the experiment alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.seed)
        return BioPolicy(experiment.env, experiment.model)


def new_optimizer(policy: BioPolicy, experiment: Experiment) -> Adam:
    """Return Adam for the brain's weights."""
    return Adam(FlatWeights(policy).vector.numel(), experiment.ppo.learning_rate)


def finite(scalars: dict[str, float]) -> dict[str, float]:
    """Return the scalars of a report, after a check that they are finite.

    Raises:
        TrialError: naming the first that is not.
    """
    for name, value in scalars.items():
        if not np.isfinite(value):
            msg = f"{name}: not finite, got {value}; the learning rate may be too high"
            raise TrialError(msg)
    return scalars


def resident_mb() -> float:
    """Return the resident memory of this process, in MB."""
    return float(psutil.Process().memory_info().rss / 1e6)


class LocalTrainer:
    """Train one experiment in this process.

    Example:
        >>> from biomarl_tune.experiment import Experiment
        >>> small = Experiment().with_settings(
        ...     {"env.num_agents": 4, "ppo.train_batch_size": 400, "ppo.minibatch_size": 200,
        ...      "model.hidden_dim": 8})
        >>> LocalTrainer(small).train_iteration()["agent_steps"]
        400.0
    """

    def __init__(self, experiment: Experiment) -> None:
        keep_freed_memory()
        self.experiment = experiment
        self.policy = new_policy(experiment)
        self.optimizer = new_optimizer(self.policy, experiment)
        self.sampler = Sampler(experiment, self.policy)
        self.shuffle = np.random.default_rng((experiment.seed, 2))
        self.agent_steps = 0
        self._ahead: tuple[Batch, Measures] | None = None  # drawn by the brain before this one

    def train_iteration(self) -> dict[str, float]:
        """Sample one batch, learn from it and return the scalars of the report.

        Raises:
            TrialError: a scalar is not finite.
        """
        begin = time.perf_counter()
        batch, measures = self._ahead or self.sampler.sample()
        self._ahead = self.sampler.sample() if self.experiment.overlaps else None
        sampled = time.perf_counter()
        learned = update(self.policy, self.optimizer, batch, self.experiment, self.shuffle)
        end = time.perf_counter()
        self.agent_steps += int(measures.agent_steps)
        scalars = {
            **measures.scalars(self.experiment.env.max_episode_steps),
            **learned,
            "agent_steps": float(self.agent_steps),
            "agent_steps_per_second": measures.agent_steps / (end - begin),
            "sample_seconds": sampled - begin,
            "learn_seconds": end - sampled,
            "rss_mb": resident_mb(),
        }
        return finite({name: scalars[name] for name in SCALARS})

    def weights(self) -> dict[str, Tensor]:
        """Return the brain's weights."""
        return self.policy.state_dict()

    def cpu_seconds(self) -> float:
        """Return the processor time of this process so far."""
        return time.process_time()

    def write_state(self, folder: Path) -> None:
        """Write all that training depends on from here, for a checkpoint of this very run."""
        state = {
            "policy": self.policy.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "sampler": self.sampler.get_state(),
            "shuffle": self.shuffle.bit_generator.state,
            "agent_steps": self.agent_steps,
            "ahead": self._ahead,
        }
        (folder / _STATE).write_bytes(pickle.dumps(state))

    def read_state(self, folder: Path) -> None:
        """Continue where ``write_state`` was called."""
        state = pickle.loads((folder / _STATE).read_bytes())  # noqa: S301 - of this very run
        self.policy.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.sampler.set_state(state["sampler"])
        self.shuffle.bit_generator.state = state["shuffle"]
        self.agent_steps = state["agent_steps"]
        self._ahead = state["ahead"]


def compile_ahead() -> None:
    """Train and play a little, so that all that training runs compiled is kept on disk.

    Arrays of one world are laid out otherwise than those of several, so both are met.
    """
    for worlds in (1, 2):
        small = {
            "env.num_agents": 3,
            "env.max_episode_steps": 20,
            "env.pheromone_diffusion": 0.1,
            "model.hidden_dim": 8,
            "ppo.rollout_steps": 15,
            "ppo.train_batch_size": 45 * worlds,
            "ppo.minibatch_size": 45,
        }
        trainer = LocalTrainer(Experiment().with_settings(small))
        for _ in range(2):  # an episode ends in the second
            trainer.train_iteration()
        play(trainer.experiment.env, trainer.policy, [(0,)])
