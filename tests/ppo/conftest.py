"""What the tests of PPO share: experiments that are sampled and trained in milliseconds."""

import pytest

from biomarl_tune.experiment import Experiment, experiment_from

TINY = {
    "env.num_agents": 3,
    "env.grid_size": (2, 2, 1),
    "env.max_episode_steps": 7,
    "env.communication_range": 1.0,
    "env.pheromone_decay": 0.8,
    "env.patch_units": 2,
    "env.breakthrough_window": 1,
    "env.breakthrough_threshold": 1.0,
    "model.hidden_dim": 8,
    "model.memory_dim": 3,
    "model.message_dim": 2,
    "model.attention_dim": 2,
    "model.neural_plasticity_rate": 0.3,
    "ppo.train_batch_size": 150,  # 5 worlds of 10 steps of 3 agents
    "ppo.minibatch_size": 60,
    "ppo.rollout_steps": 10,
    "ppo.num_epochs": 2,
    "ppo.learning_rate": 3e-3,
    "ppo.gamma": 0.9,
    "ppo.gae_lambda": 0.8,
    "ppo.clip": 0.2,
    "ppo.value_coefficient": 0.5,
    "ppo.entropy_coefficient": 0.01,
    "ppo.max_grad_norm": 0.5,
    "ppo.detector_coefficient": 0.01,
    "ppo.detector_horizon": 3,
    "ppo.plasticity_coefficient": 0.0,
    "ppo.message_coefficient": 0.0,
    "ppo.attention_coefficient": 0.0,
    "seed": 11,
}


@pytest.fixture(scope="session")
def tiny():
    """Return a function that makes the tiny experiment, some dotted settings replaced."""

    def make(settings: dict | None = None) -> Experiment:
        tree: dict = {}
        for name, value in {**TINY, **(settings or {})}.items():
            group, _, key = name.rpartition(".")
            (tree.setdefault(group, {}) if group else tree)[key] = value
        return experiment_from(tree)

    return make
