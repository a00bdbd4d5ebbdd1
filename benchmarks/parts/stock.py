"""Stock RLlib on the colony's MultiAgentEnv: its own runner, module and learner."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

from biomarl_tune.experiment import Experiment
from biomarl_tune.rllib.env import ColonyEnv

BATCH, MINIBATCH, EPOCHS = 4_000, 512, 4  # agent steps; RLlib's own are 4,000, 128 and 30
POLICY = "colony"


def stock_config(experiment: Experiment, runners: int) -> PPOConfig:
    """Return stock PPO with one policy shared by all agents."""
    ppo, hidden = experiment.ppo, experiment.model.hidden_dim
    return (
        PPOConfig()
        .environment(ColonyEnv, env_config=experiment.env.model_dump())
        .env_runners(num_env_runners=runners)
        .multi_agent(
            policies={POLICY},
            policy_mapping_fn=lambda *_, **__: POLICY,
            count_steps_by="agent_steps",
        )
        .rl_module(
            model_config=DefaultModelConfig(
                fcnet_hiddens=[hidden, hidden], fcnet_activation="tanh", vf_share_layers=False
            )
        )
        .training(
            lr=ppo.learning_rate,
            gamma=ppo.gamma,
            lambda_=ppo.gae_lambda,
            clip_param=ppo.clip,
            vf_clip_param=float("inf"),
            vf_loss_coeff=ppo.value_coefficient,
            entropy_coeff=ppo.entropy_coefficient,
            grad_clip=ppo.max_grad_norm,
            use_kl_loss=False,
            train_batch_size_per_learner=BATCH,
            minibatch_size=MINIBATCH,
            num_epochs=EPOCHS,
        )
        .debugging(log_level="ERROR", seed=experiment.seed)
    )


class StockPPO:
    """An algorithm of that configuration."""

    def __init__(self, experiment: Experiment, runners: int) -> None:
        self.algorithm = stock_config(experiment, runners).build_algo()

    def iterate(self) -> int:
        """Sample a batch, learn from it and return its agent steps."""
        self.results: dict[str, Any] = self.algorithm.train()
        return int(self.results["env_runners"]["num_module_steps_sampled"][POLICY])
