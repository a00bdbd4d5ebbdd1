"""A small search space and studies over it."""

from __future__ import annotations

import pytest

from biomarl_tune.search.spec import parse_spec
from biomarl_tune.search.study import Study

SEARCH_SPACE = """\
name: small
seed: 3
experiment:
  env: {num_agents: 4}
  ppo: {train_batch_size: 4000, minibatch_size: 2000}
space:
  env.pheromone_decay: {uniform: [0.2, 0.9]}
  model.hidden_dim: {choice: [16, 32]}
objective: {metric: episode_return_mean, mode: max}
search: {sampler: tpe, trials: 6, start_with: [{}, {env.pheromone_decay: 0.7}]}
stopping: {scheduler: asha, max_iterations: 4, grace_iterations: 1, reduction: 2}
evaluation: {top: 2, seeds: 2, episodes_per_seed: 1}
"""


@pytest.fixture
def search_space():
    """The YAML of a small search."""
    return SEARCH_SPACE


@pytest.fixture
def study(tmp_path):
    """A new study of the small search, open for writing."""
    with Study.create(tmp_path / "results", parse_spec(SEARCH_SPACE), SEARCH_SPACE) as opened:
        yield opened
