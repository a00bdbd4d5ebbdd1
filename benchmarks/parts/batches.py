"""Batch sizes: speed is measured on large ones, as peers' is; the defaults are those that learn."""

from __future__ import annotations

from typing import Any

LARGE: dict[str, Any] = {
    "ppo.train_batch_size": 30_000,
    "ppo.minibatch_size": 3_000,
    "ppo.rollout_steps": 50,
}
