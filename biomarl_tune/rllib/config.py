"""The experiment as an RLlib configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from ray.rllib.algorithms.ppo.ppo import PPOConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from biomarl_tune.errors import InputError
from biomarl_tune.experiment import Experiment, experiment_from
from biomarl_tune.ppo.trial import Trial
from biomarl_tune.rllib.env import ColonyEnv, action_space, observation_space
from biomarl_tune.rllib.learner import BioPPOLearner
from biomarl_tune.rllib.module import module_spec
from biomarl_tune.rllib.sampler import ColonyEnvRunner

_MAX_RESTARTS = 3  # of a lost env runner


class ExperimentConfig(PPOConfig):
    """RLlib's configuration of PPO, derived from an ``Experiment``.

    The experiment is the only home of the settings: what RLlib keeps under names of its own is
    copied from there, and a copy that was changed is refused.
    """

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class)
        self.environment(
            ColonyEnv, observation_space=observation_space(), action_space=action_space()
        )
        self.env_runners(
            env_runner_cls=ColonyEnvRunner,
            num_cpus_per_env_runner=0,  # the trial's request counts them, see BioPPO
            merge_env_runner_states=False,
            broadcast_env_runner_states=False,
        )
        self.training(
            use_kl_loss=False,
            vf_clip_param=float("inf"),
            grad_clip_by="global_norm",
        )
        self.learners(
            num_learners=0,
            learner_class=BioPPOLearner,
            add_default_connectors_to_learner_pipeline=False,
        )
        self.fault_tolerance(
            restart_failed_env_runners=True,
            max_num_env_runner_restarts=_MAX_RESTARTS,
            delay_between_env_runner_restarts_s=1.0,
            num_consecutive_env_runner_failures_tolerance=_MAX_RESTARTS,
            env_runner_health_probe_timeout_s=15.0,
        )
        self.debugging(log_sys_usage=False)  # a thread that polls; the report has rss_mb
        self.use(Experiment())

    @classmethod
    def from_experiment(cls, experiment: Experiment, trial: Trial | None = None) -> Self:
        """Return the configuration of an experiment, on its own or as a trial of a search."""
        return cls().use(experiment, trial)

    def use(self, experiment: Experiment, trial: Trial | None = None) -> Self:
        """Take over an experiment's settings."""
        self.experiment = experiment
        self.trial = trial
        for name, value in _copies(experiment).items():
            setattr(self, name, value)
        self.environment(env_config=experiment.env.model_dump())
        self.rl_module(rl_module_spec=module_spec(experiment))
        return self

    def update_from_dict(self, config_dict: Mapping[str, Any]) -> Self:
        """Take over a plain dict with ``experiment`` and ``trial``, as a search hands it to Tune.

        Raises:
            InputError: a setting that does not exist, or a value that it does not take.
        """
        rest = dict(config_dict)
        if "experiment" in rest:
            trial = rest.pop("trial", None)
            self.use(
                parsed_experiment(rest.pop("experiment")),
                Trial.model_validate(trial) if isinstance(trial, dict) else trial,
            )
        updated: Self = super().update_from_dict(rest)
        return updated

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """Return what the module is built from."""
        return module_spec(self.experiment)

    def validate(self) -> None:
        """Check RLlib's settings, and that the copies are those of the experiment.

        Raises:
            InputError: a copy that was changed, or learners in processes of their own.
        """
        super().validate()
        if self.in_evaluation:  # RLlib's own copy for an evaluation that is not used
            return
        for name, value in _copies(self.experiment).items():
            if getattr(self, name) != value:
                msg = (
                    f"{type(self).__name__}.{name}: is {getattr(self, name)!r}, but the experiment "
                    f"says {value!r}; change the experiment and use from_experiment()"
                )
                raise InputError(msg)
        if self.num_learners:
            msg = f"{type(self).__name__}.num_learners: must be 0, got {self.num_learners}"
            raise InputError(msg)


def parsed_experiment(given: Experiment | dict[str, Any]) -> Experiment:
    """Return the experiment that a plain dict describes, or the experiment itself."""
    return given if isinstance(given, Experiment) else experiment_from(given)


def _copies(experiment: Experiment) -> dict[str, Any]:
    """Return the experiment's settings under RLlib's names."""
    ppo = experiment.ppo
    return {
        "num_env_runners": ppo.num_env_runners,
        "num_envs_per_env_runner": 1,
        "rollout_fragment_length": ppo.rollout_steps,
        "_train_batch_size_per_learner": ppo.train_batch_size,
        "minibatch_size": ppo.minibatch_size,
        "num_epochs": ppo.num_epochs,
        "lr": ppo.learning_rate,
        "gamma": ppo.gamma,
        "lambda_": ppo.gae_lambda,
        "clip_param": ppo.clip,
        "vf_loss_coeff": ppo.value_coefficient,
        "entropy_coeff": ppo.entropy_coefficient,
        "grad_clip": ppo.max_grad_norm,
    }
