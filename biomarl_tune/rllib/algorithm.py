"""The algorithm: RLlib's PPO with whole colonies as its unit, and a trial for Ray Tune."""

from __future__ import annotations

import contextlib
import logging
import pickle
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray.rllib.algorithms.ppo.ppo import PPO
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.env.env_runner_group import EnvRunnerGroup
from ray.rllib.utils.metrics import LEARNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME
from ray.tune import Trainable
from ray.tune.execution.placement_groups import PlacementGroupFactory
from ray.tune.result import TRAINING_ITERATION
from torch import Tensor

from biomarl_tune.errors import TrialError
from biomarl_tune.experiment import Experiment
from biomarl_tune.ppo.local import finite, resident_mb
from biomarl_tune.ppo.seeds import SeedRuns, with_training_seed
from biomarl_tune.ppo.trial import TrialRun, failure_report
from biomarl_tune.rllib.ahead import Ahead
from biomarl_tune.rllib.config import ExperimentConfig, parsed_experiment
from biomarl_tune.rllib.sampler import (
    Sample,
    far_samples,
    far_states,
    hand_out_worlds,
    merged,
    set_far_states,
    share_of_worlds,
)
from biomarl_tune.scalars import SCALARS

logger = logging.getLogger(__name__)

_AGENT_STEPS, _REMOTE_RUNNERS, _AHEAD = "agent_steps", "remote_env_runners", "ahead"
_STATE = "rllib.pkl"
_MB = 2**20
_PATIENCE = 30.0  # seconds to wait for env runners when all are lost


class BioPPOConfig(ExperimentConfig):
    """The configuration that builds a ``BioPPO``.

    Example:
        >>> config = BioPPOConfig.from_experiment(Experiment())
        >>> config.lr
        0.0003
    """

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class or BioPPO)


class BioPPO(PPO):
    """Train an experiment's colonies.

    Tune takes this class with a plain dict of ``experiment`` and ``trial`` as its config, and
    reuses its process for one trial after the other. Without Tune:

        BioPPOConfig.from_experiment(Experiment()).build_algo().train()
    """

    config: BioPPOConfig
    learner_group: Any

    @classmethod
    def get_default_config(cls) -> BioPPOConfig:
        """Return the configuration of the default experiment."""
        return BioPPOConfig(algo_class=cls)

    @classmethod
    def default_resource_request(cls, config: Mapping[str, Any]) -> PlacementGroupFactory:
        """Return a CPU for the trial's process and for each env runner after the first.

        The first takes turns with the trial's process: one samples while the other waits. RLlib
        wants a bundle for it all the same, and one that is not used keeps the requests of trials
        with and without it alike, so that they share processes. Where sampling overlaps learning
        nobody waits, and every env runner has its own.
        """
        experiment = parsed_experiment(config["experiment"])
        runners = experiment.ppo.num_env_runners
        if experiment.overlaps:
            return PlacementGroupFactory([{"CPU": 1}] + [{"CPU": 1}] * runners)
        return PlacementGroupFactory([{"CPU": 1}, {"memory": _MB}] + [{"CPU": 1}] * (runners - 1))

    def setup(self, config: BioPPOConfig) -> None:
        """Build everything; continue from the trial's newest checkpoint where there is one.

        What goes wrong with a trial comes as its first report: an exception here would end the
        process, which Tune starts again and again.
        """
        self._failure: dict[str, Any] | None = None
        self._ahead = Ahead()
        try:
            super().setup(config)
            self._begin_trial()
        except Exception as error:
            if config.trial is None:
                raise
            self._failure = failure_report(error)

    def reset_config(self, new_config: Mapping[str, Any]) -> bool:
        """Begin another trial in this warm process; env runners are kept, spare ones idle.

        Raises:
            InputError: a setting that does not exist, or a value that it does not take.
        """
        config = self.get_default_config().update_from_dict(new_config)
        config.validate()
        config.freeze()
        self.config = config
        if not self._begin_warm():
            with contextlib.suppress(Exception):  # of what is half built or half dead
                self.cleanup()
            self.setup(config)
        return True

    def _begin_warm(self) -> bool:
        """Begin a trial with what is there, unless something is broken."""
        try:
            self.metrics.reset()
            self._ahead.drop()
            if self._failure is not None or not self._runners_are_up():
                return False
            self.learner_group.shutdown()
            self.learner_group = self.config.build_learner_group()
            self._begin_trial()
        except Exception:
            logger.exception("the process could not be reused and is built anew")
            return False
        return True

    @property
    def experiment(self) -> Experiment:
        """The settings."""
        return self.config.experiment

    @property
    def _runners(self) -> int:
        return self.experiment.ppo.num_env_runners

    def _runners_are_up(self) -> bool:
        """Add the env runners that are missing; tell whether all are well."""
        group = self.env_runner_group
        missing = self._runners - group.num_remote_env_runners()
        if missing > 0:
            group.add_workers(missing)
        self.restore_env_runners(group)
        return bool(group.num_healthy_remote_env_runners() == group.num_remote_env_runners())

    def _begin_trial(self) -> None:
        """Give every runner its worlds, then go on from the trial's newest checkpoint, if any."""
        self._hand_out()
        trial, experiment = self.config.trial, self.experiment
        self._run: TrialRun | SeedRuns | None = None
        if trial is None:
            return
        plan = trial

        def begin(seed: int) -> TrialRun:
            self._train_anew(with_training_seed(experiment, seed))
            return TrialRun(plan.of_seed(seed), self)

        self._run = SeedRuns(plan, begin) if plan.stages else TrialRun(plan, self)

    def _train_anew(self, experiment: Experiment) -> None:
        """Begin an experiment that differs from the one before by its seed only."""
        config = self.config.copy(copy_frozen=False).use(experiment, self.config.trial)
        config.freeze()
        self.config = config
        self.metrics.reset()
        self.learner_group.shutdown()
        self.learner_group = config.build_learner_group()
        self._hand_out()

    def _hand_out(self) -> None:
        self._ahead.drop()
        self._iterations = self._agent_steps = 0
        self._far_cpu_seconds = 0.0  # of env runners in processes of their own
        learners = self.learner_group.foreach_learner(lambda learner: learner.module)
        module = next(iter(learners)).get()[DEFAULT_MODULE_ID]
        worlds = share_of_worlds(self.experiment, 0, self._runners)
        self.env_runner.reconfigure(self.experiment, worlds, module)
        hand_out_worlds(self.env_runner_group, self.experiment)

    def restore_env_runners(self, env_runner_group: EnvRunnerGroup) -> list[int]:
        """Give lost env runners that Ray has started again their worlds, from the beginning."""
        restored: list[int] = env_runner_group.probe_unhealthy_env_runners()
        if restored:
            logger.warning("env runners %s were lost and started again", restored)
            hand_out_worlds(env_runner_group, self.experiment, restored)
        return restored

    def step(self) -> dict[str, Any]:
        """Run one iteration and return its report: the named scalars and ``iteration``.

        As a trial of a search, the report is that of ``TrialRun.step``, failures included; else
        they are raised.
        """
        if self._failure is not None:
            return dict(self._failure)
        report = self._run.step() if self._run is not None else self.train_iteration()
        return {"iteration": self._iterations, **report, TRAINING_ITERATION: self._iterations}

    def train_iteration(self) -> dict[str, Any]:
        """Sample one batch, learn from it and return the scalars of the report.

        Raises:
            TrialError: a scalar is not finite, a world failed, or no env runner is left.
        """
        self.training_step()
        self._iterations += 1
        return self._scalars

    def training_step(self) -> None:
        """Sample one batch and learn from it; RLlib's hook, called by ``train_iteration``."""
        begin = time.perf_counter()
        batch, measures = merged(self._drawn())
        sampled = time.perf_counter()
        self._agent_steps += int(measures.agent_steps)
        results = self.learner_group.update(
            batch=batch, timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: self._agent_steps}
        )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        learned = self.metrics.compile()[LEARNER_RESULTS][DEFAULT_MODULE_ID]
        end = time.perf_counter()
        scalars = {
            **measures.scalars(self.experiment.env.max_episode_steps),
            **learned,
            "agent_steps": float(self._agent_steps),
            "agent_steps_per_second": measures.agent_steps / (end - begin),
            "sample_seconds": sampled - begin,
            "learn_seconds": end - sampled,
            "rss_mb": resident_mb(),
        }
        self._scalars = finite({name: float(scalars[name]) for name in SCALARS})

    def _drawn(self) -> list[Sample]:
        """Return what the runners drew for this iteration."""
        if not self._runners:
            return [self.env_runner.sample()]
        weights = ray.put(self.get_module().get_state())
        found = self._ahead.take() or self._far_samples(weights)
        if self.experiment.overlaps:
            self._ahead.begin(lambda: self._far_samples(weights))
        self._far_cpu_seconds += sum(sample.cpu_seconds for sample in found)
        return found

    def _far_samples(self, weights: ray.ObjectRef) -> list[Sample]:
        """Let every runner sample; worlds of a runner that is lost meanwhile are left out."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            self.restore_env_runners(self.env_runner_group)
            found = far_samples(self.env_runner_group, weights, self._runners)
            if found:
                return found
            time.sleep(0.2)
        msg = f"none of {self._runners} env runners came back within {_PATIENCE:g} seconds"
        raise TrialError(msg)

    def weights(self) -> dict[str, Tensor]:
        """Return the brain's weights."""
        return dict(self.get_module().policy.state_dict())

    def cpu_seconds(self) -> float:
        """Return the processor time of this process and its env runners so far."""
        return time.process_time() + self._far_cpu_seconds

    def write_state(self, folder: Path) -> None:
        """Write all that training depends on from here, in one file.

        RLlib's ``save_to_path`` holds the same in some twenty, each of which costs a write to disk.
        """
        (folder / _STATE).write_bytes(pickle.dumps(self.get_state()))

    def read_state(self, folder: Path) -> None:
        """Continue where ``write_state`` was called."""
        self.set_state(pickle.loads((folder / _STATE).read_bytes()))  # noqa: S301 - was verified

    def get_state(
        self, components: Any = None, *, not_components: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Return RLlib's state, our counter and the state of every env runner."""
        state: dict[str, Any] = super().get_state(
            components, not_components=not_components, **kwargs
        )
        state[TRAINING_ITERATION] = self._iterations
        state[_AGENT_STEPS] = self._agent_steps
        state[_AHEAD] = self._ahead.drawn()
        if self._runners and self._check_component(_REMOTE_RUNNERS, components, not_components):
            state[_REMOTE_RUNNERS] = far_states(self.env_runner_group)
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue where ``get_state`` was called."""
        super().set_state(state)
        self._iterations = state.get(TRAINING_ITERATION, self._iterations)
        self._agent_steps = state.get(_AGENT_STEPS, self._agent_steps)
        self._ahead.put_back(state.get(_AHEAD))
        if _REMOTE_RUNNERS in state:
            set_far_states(self.env_runner_group, state[_REMOTE_RUNNERS])

    def cleanup(self) -> None:
        """Wait for what is being drawn, then let go of everything."""
        self._ahead.drop()
        super().cleanup()

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what builds an algorithm like this one, outside of its search."""
        return ({**self.config.get_state(), "trial": None},), {}

    def get_auto_filled_metrics(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return what Tune adds to each report, without the whole configuration."""
        filled: dict[str, Any] = Trainable.get_auto_filled_metrics(self, *args, **kwargs)
        filled.pop("config", None)
        return filled

    def _setup_logdir(self) -> None:
        """Leave no folder in ~/ray_results behind where there is no Tune that wants one."""
        if self._storage:
            super()._setup_logdir()
        else:
            self._logdir = tempfile.gettempdir()
