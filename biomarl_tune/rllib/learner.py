"""The learner: RLlib's, with the inner loop of the local engine."""

from __future__ import annotations

from typing import Any

import numpy as np
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core import ALL_MODULES, DEFAULT_MODULE_ID
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.utils.metrics import (
    NUM_ENV_STEPS_TRAINED_LIFETIME,
    NUM_MODULE_STEPS_TRAINED_LIFETIME,
)

from biomarl_tune.errors import InputError
from biomarl_tune.ppo.heap import keep_freed_memory
from biomarl_tune.ppo.local import new_optimizer
from biomarl_tune.ppo.losses import Batch
from biomarl_tune.ppo.update import update

_SHUFFLE_STREAM = 2
_SHUFFLE = "shuffle"


class BioPPOLearner(PPOTorchLearner):
    """Learn from batches of whole worlds with PPO and the bio losses.

    The module, the counters and the handling of states are RLlib's. The loop over minibatches and
    the optimiser are those of the local engine: RLlib's loop wraps, copies, logs and looks up for
    each minibatch, and shuffles with numpy's global generator. So ``compute_loss_for_module`` is
    not called here; it is RLlib's PPO loss, to which ours is equal when the bio coefficients are
    zero.
    """

    def build(self) -> None:
        """Build module and optimiser, and seed the shuffling of worlds."""
        keep_freed_memory()
        super().build()
        self._shuffle = np.random.default_rng((self.config.experiment.seed, _SHUFFLE_STREAM))

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Register the optimiser that the local engine uses."""
        module = self._module[module_id]
        self.register_optimizer(
            module_id=module_id,
            optimizer=new_optimizer(module.policy, self.config.experiment),
            params=self.get_parameters(module),
            lr_or_lr_schedule=config.lr,
        )

    def _check_registered_optimizer(self, optimizer: Any, params: Any) -> None:
        """Accept an optimiser that has what RLlib uses of torch.optim's without being one."""

    def update(
        self,
        batch: Batch | None = None,
        *,
        training_data: TrainingData | None = None,
        timesteps: dict[str, int] | None = None,
        _no_metrics_reduce: bool = False,
        **_: Any,
    ) -> dict[str, Any] | None:
        """Run the experiment's epochs over one batch.

        Args:
            batch: as ``ColonyEnvRunner.sample`` returns it, the worlds first.
            training_data: RLlib's wrapper of the same.
            timesteps: lifetime counters by RLlib's names, for schedules.

        Returns:
            RLlib's statistics: under the module's name every loss, averaged over the
            minibatches, and the steps trained.

        Raises:
            InputError: what is given is no such batch.
        """
        self._check_is_built()
        batch = training_data.batch if training_data is not None else batch
        if not isinstance(batch, dict) or "memory" not in batch:
            msg = f"BioPPOLearner.update: wants a batch of ColonyEnvRunner, got {type(batch)}"
            raise InputError(msg)
        self.before_gradient_based_update(timesteps=timesteps or {})
        policy = self.module[DEFAULT_MODULE_ID].policy
        optimizer = self.get_optimizer(DEFAULT_MODULE_ID)
        learned = update(policy, optimizer, batch, self.config.experiment, self._shuffle)
        self._weights_seq_no += 1
        self._log(learned, batch)
        self.after_gradient_based_update(timesteps=timesteps or {})
        return None if _no_metrics_reduce else self.metrics.reduce()

    def _log(self, learned: dict[str, float], batch: Batch) -> None:
        for name, value in learned.items():
            self.metrics.log_value((DEFAULT_MODULE_ID, name), value, window=1)
        lifetime = {
            (DEFAULT_MODULE_ID, NUM_MODULE_STEPS_TRAINED_LIFETIME): batch["actions"].numel(),
            (ALL_MODULES, NUM_ENV_STEPS_TRAINED_LIFETIME): batch["first"].numel(),
        }
        for key, count in lifetime.items():
            self.metrics.log_value(key, count, reduce="lifetime_sum")

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return RLlib's state of a learner and that of the generator that shuffles."""
        state: dict[str, Any] = super().get_state(*args, **kwargs)
        return {**state, _SHUFFLE: self._shuffle.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue where ``get_state`` was called, also if this learner has gone on since."""
        self._weights_seq_no = 0  # RLlib leaves out weights that are no newer than its own
        super().set_state(state)
        if _SHUFFLE in state:
            self._shuffle.bit_generator.state = state[_SHUFFLE]
