"""The batches that speed is measured on, as large as peers take; the defaults are to learn from."""

from __future__ import annotations

from typing import Any

LARGE: dict[str, Any] = {
    "ppo.train_batch_size": 30_000,
    "ppo.minibatch_size": 3_000,
    "ppo.rollout_steps": 50,
}
