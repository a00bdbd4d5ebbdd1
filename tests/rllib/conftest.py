"""A colony small enough that an iteration takes milliseconds."""

import pytest

from biomarl_tune.experiment import Experiment

SETTINGS = {
    "env.num_agents": 3,
    "env.max_episode_steps": 40,
    "model.hidden_dim": 8,
    "model.memory_dim": 4,
    "ppo.train_batch_size": 240,
    "ppo.minibatch_size": 60,
    "ppo.rollout_steps": 10,
    "ppo.num_epochs": 2,
}


@pytest.fixture
def small():
    """8 worlds of 3 agents, 10 steps a batch, 4 minibatches."""
    return Experiment().with_settings(SETTINGS)
