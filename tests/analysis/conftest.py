"""A small finished search, made once with the local engine."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from biomarl_tune.run import Search

SEARCH_SPACE = """\
name: small
seed: 3
experiment:
  env: {num_agents: 5, grid_size: [2, 2, 2], max_episode_steps: 20, patch_units: 4}
  model: {memory_dim: 4, message_dim: 4}
  ppo:
    {train_batch_size: 200, minibatch_size: 100, rollout_steps: 10, num_epochs: 1,
     learning_rate: 0.05}
space:
  env.pheromone_decay: {uniform: [0.2, 0.9]}
  model.hidden_dim: {choice: [4, 8]}
search: {trials: 14, start_with: [{env.pheromone_decay: 0.5}]}
stopping: {scheduler: asha, max_iterations: 8, grace_iterations: 2, reduction: 2}
evaluation: {top: 2, seeds: 4, episodes_per_seed: 2}
"""


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The directory of a search that has been evaluated; not to be written to."""
    folder = tmp_path_factory.mktemp("finished")
    file = folder / "small.yaml"
    file.write_text(SEARCH_SPACE)
    return Search.load(file).run(folder / "results", engine="local").directory


@pytest.fixture(scope="session")
def pages():
    """The reader of pages beside this file."""
    path = Path(__file__).with_name("pages.py")
    spec = importlib.util.spec_from_file_location("pages", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
