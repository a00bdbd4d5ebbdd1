"""The sampler as RLlib's env runner: many worlds at once, to a ready train batch."""

from __future__ import annotations

import time
import traceback
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import ray
import torch
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.env import INPUT_ENV_SPACES
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.env.env_runner_group import EnvRunnerGroup
from ray.rllib.utils.checkpoints import Checkpointable

from biomarl_tune.errors import TrialError
from biomarl_tune.experiment import Experiment
from biomarl_tune.ppo.losses import Batch
from biomarl_tune.ppo.measures import Measures
from biomarl_tune.ppo.sampling import Sampler
from biomarl_tune.rllib.env import action_space, observation_space
from biomarl_tune.rllib.module import BioRLModule, module_spec

_SAMPLER = "sampler"


@dataclass(frozen=True)
class Sample:
    """What one runner drew."""

    batch: Batch
    measures: Measures
    cpu_seconds: float  # of the runner's process


def share_of_worlds(experiment: Experiment, runner: int, runners: int) -> range:
    """Return the worlds that a runner steps.

    Args:
        experiment: for the number of worlds.
        runner: 0 is the trial's own process, 1 and up are Ray actors; spare ones get none.
        runners: how many Ray actors there are; where there is none, runner 0 steps all worlds.
    """
    worlds = experiment.num_worlds
    if runners == 0:
        return range(worlds)
    if runner > runners:
        return range(0)
    return range(worlds * max(runner - 1, 0) // runners, worlds * runner // runners)


def merged(samples: Sequence[Sample]) -> tuple[Batch, Measures]:
    """Join what several runners drew into one batch, worlds first."""
    if len(samples) == 1:
        return samples[0].batch, samples[0].measures
    names = samples[0].batch
    batch = {name: torch.cat([sample.batch[name] for sample in samples]) for name in names}
    return batch, Measures.merged(sample.measures for sample in samples)


class ColonyEnvRunner(EnvRunner, Checkpointable):
    """Step a share of an experiment's worlds with the shared brain, on one thread.

    A world's randomness depends on the experiment's seed and the world's number alone, so it
    does not matter how many runners there are.
    """

    def __init__(self, *, config: AlgorithmConfig, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        self.worker_index: int = kwargs.get("worker_index") or 0
        torch.set_num_threads(1)
        runners = self.num_workers or 0
        self.worlds = share_of_worlds(config.experiment, self.worker_index, runners)
        self.module: BioRLModule = module_spec(config.experiment).build()
        self.sampler: Sampler | None = None

    def reconfigure(
        self, experiment: Experiment, worlds: range, module: BioRLModule | None = None
    ) -> None:
        """Begin another experiment in this process.

        Args:
            experiment: its settings.
            worlds: which of its worlds to step.
            module: the brain that acts, shared and not copied; a new one by default.
        """
        self.config.use(experiment)
        self.worlds = worlds
        self.module = module if module is not None else module_spec(experiment).build()
        self.sampler = None

    def sample(self, weights: dict[str, Any] | None = None, **_: Any) -> Sample:
        """Step every world of this runner's share T times.

        Args:
            weights: the module's state to act with from now on; by default what it has.
        """
        begin = time.process_time()
        if weights is not None:
            self.module.set_state(weights)
        batch, measures = self._sampler().sample()
        return Sample(batch, measures, time.process_time() - begin)

    def try_sample(self, weights: dict[str, Any]) -> Sample | str:
        """Sample, or return the traceback of what went wrong.

        RLlib ends the process of a runner whose method raises, and the cause is lost with it.
        """
        try:
            return self.sample(weights)
        except Exception:  # noqa: BLE001 - whatever it is, the trial is told
            return traceback.format_exc()

    def _sampler(self) -> Sampler:
        if self.sampler is None:
            self.sampler = Sampler(self.config.experiment, self.module.policy, self.worlds)
        return self.sampler

    def get_metrics(self) -> dict[str, Any]:
        """Return nothing: what is measured comes with each sample."""
        return {}

    def get_spaces(self) -> dict[str, Any]:
        """Return the spaces of one agent, which are those of the module."""
        spaces = (observation_space(), action_space())
        return {INPUT_ENV_SPACES: spaces, DEFAULT_MODULE_ID: spaces}

    def assert_healthy(self) -> None:
        """Check that the runner was built."""
        assert self.module is not None

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the weights and all that the coming samples depend on."""
        state: dict[str, Any] = {}
        if self._check_component(COMPONENT_RL_MODULE, components, not_components):
            module = self.module.get_state(**kwargs)
            state[COMPONENT_RL_MODULE] = {DEFAULT_MODULE_ID: module}
        if self.worlds and self._check_component(_SAMPLER, components, not_components):
            state[_SAMPLER] = self._sampler().get_state()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue where ``get_state`` was called; what ``state`` lacks stays as it is."""
        if COMPONENT_RL_MODULE in state:
            self.module.set_state(state[COMPONENT_RL_MODULE][DEFAULT_MODULE_ID])
        if _SAMPLER in state:
            self._sampler().set_state(state[_SAMPLER])

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what a runner like this one is built from."""
        return (), {
            "config": self.config,
            "worker_index": self.worker_index,
            "num_workers": self.num_workers,
        }


def hand_out_worlds(
    group: EnvRunnerGroup, experiment: Experiment, ids: list[int] | None = None
) -> None:
    """Tell the env runners in processes of their own (all, or some) what to sample from now on."""

    def begin(runner: ColonyEnvRunner) -> None:
        share = share_of_worlds(experiment, runner.worker_index, experiment.ppo.num_env_runners)
        runner.reconfigure(experiment, share)

    group.foreach_env_runner(begin, local_env_runner=False, remote_worker_ids=ids)


def far_samples(group: EnvRunnerGroup, weights: ray.ObjectRef, runners: int) -> list[Sample]:
    """Let the env runners in other processes sample; what a lost one drew is left out.

    Args:
        group: of the env runners.
        weights: the module's state to act with.
        runners: how many of them have worlds.

    Raises:
        TrialError: a world failed; the last line is its exception.
    """
    found = group.foreach_env_runner(
        "try_sample",
        kwargs={"weights": weights},
        local_env_runner=False,
        remote_worker_ids=list(range(1, runners + 1)),
    )
    for failure in (part for part in found if isinstance(part, str)):
        msg = f"a world failed in an env runner:\n{failure}"
        raise TrialError(msg)
    return list(found)


def far_states(group: EnvRunnerGroup) -> dict[int, dict[str, Any]]:
    """Return what the coming samples of each env runner in another process depend on."""

    def state_of(runner: ColonyEnvRunner) -> tuple[int, dict[str, Any]]:
        return runner.worker_index, runner.get_state(_SAMPLER)

    return dict(group.foreach_env_runner(state_of, local_env_runner=False))


def set_far_states(group: EnvRunnerGroup, states: dict[int, dict[str, Any]]) -> None:
    """Let each env runner in another process continue where ``far_states`` was called."""

    def continue_from(runner: ColonyEnvRunner) -> None:
        runner.set_state(states.get(runner.worker_index, {}))

    group.foreach_env_runner(continue_from, local_env_runner=False)
