"""What tests share: one thread for torch, one Ray, and one small search that has been run."""

from __future__ import annotations

import contextlib
import io
from types import SimpleNamespace

import pytest

import biomarl_tune  # noqa: F401 - before torch, for it says how OpenMP's threads wait

SMALL_SEARCH = """\
name: small
seed: 3
experiment:
  env: {num_agents: 4, grid_size: [2, 2, 1], patch_units: 5, max_episode_steps: 40}
  model: {hidden_dim: 8}
  ppo: {train_batch_size: 800, minibatch_size: 200, rollout_steps: 20, learning_rate: 0.01}
space:
  env.pheromone_decay: {uniform: [0.2, 0.9]}
  model.memory_dim: {choice: [4, 8]}
search: {trials: 5, start_with: [{}]}
stopping: {scheduler: asha, max_iterations: 4, grace_iterations: 1, reduction: 2}
evaluation: {top: 2, seeds: 2, episodes_per_seed: 2}
"""


def pytest_configure():
    """Give torch one thread."""
    import torch  # noqa: PLC0415 - after the package

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def ray_session():
    """Ray on two CPUs for the whole test run, started when first asked for."""
    import ray  # noqa: PLC0415 - takes seconds, and most test runs do without

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def space_file(tmp_path):
    """The YAML file of a search that takes a second or two."""
    file = tmp_path / "small.yaml"
    file.write_text(SMALL_SEARCH)
    return file


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """That search, run to its verdict with the local engine: directory, result and what it said.

    Tests must not change it.
    """
    from biomarl_tune.run import Search  # noqa: PLC0415 - pandas, optuna and the rest

    root = tmp_path_factory.mktemp("small")
    (root / "small.yaml").write_text(SMALL_SEARCH)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        result = Search.load(root / "small.yaml").run(root / "results", engine="local")
    return SimpleNamespace(directory=result.directory, result=result, said=said.getvalue())
