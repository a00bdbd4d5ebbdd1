"""The brain as an RLlib module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from torch import Tensor

from biomarl_tune.brain.policy import PolicyOutput
from biomarl_tune.experiment import Experiment, experiment_from
from biomarl_tune.ppo.local import new_policy
from biomarl_tune.rllib.env import action_space, observation_space


class BioRLModule(TorchRLModule, ValueFunctionAPI):
    """The shared brain of a colony, which answers for whole worlds at once.

    Batches hold whole worlds, because agents hear one another: ``obs`` [W, T, N, 12], ``first``
    [W, T] and ``memory`` [W, N, K, V], as the sampler draws them. So this module serves
    ``ColonyEnvRunner`` and ``BioPPOLearner``, not RLlib's runners of single agents.
    ``model_config`` holds the experiment's settings under ``experiment``.
    """

    def setup(self) -> None:
        """Build the brain; its weights depend on the experiment alone."""
        self.policy = new_policy(experiment_from(self.model_config["experiment"]))

    def _forward(self, batch: Mapping[str, Tensor], **_: Any) -> dict[str, Any]:
        output = self.policy.sequence(batch["obs"], batch["first"], batch["memory"])
        return {
            Columns.ACTION_DIST_INPUTS: output.logits,
            Columns.VF_PREDS: output.value,
            Columns.EMBEDDINGS: output,
        }

    def compute_values(
        self, batch: Mapping[str, Tensor], embeddings: PolicyOutput | None = None
    ) -> Tensor:
        """Return the values [W, T, N], for nothing where the forward pass's output is at hand."""
        if embeddings is not None:
            return embeddings.value
        value: Tensor = self._forward(batch)[Columns.VF_PREDS]
        return value


def module_spec(experiment: Experiment) -> RLModuleSpec:
    """Return what RLlib builds an experiment's module from."""
    return RLModuleSpec(
        module_class=BioRLModule,
        observation_space=observation_space(),
        action_space=action_space(),
        model_config={"experiment": experiment.model_dump()},
    )
