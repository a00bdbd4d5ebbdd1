"""What every test shares: one thread for torch, and one Ray for those that need it."""

from __future__ import annotations

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def ray_session():
    """Ray on two CPUs for the whole test run, started when first asked for."""
    import ray  # noqa: PLC0415 - takes seconds, and most test runs do without

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
