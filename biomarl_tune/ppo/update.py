"""The update: some epochs of gradient steps over minibatches of whole worlds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from biomarl_tune.brain.chunk import Chunk
from biomarl_tune.brain.joined import FlatWeights
from biomarl_tune.brain.passes import Pass
from biomarl_tune.brain.policy import BioPolicy
from biomarl_tune.experiment import Experiment
from biomarl_tune.ppo.losses import Batch
from biomarl_tune.ppo.objective import Losses, Rows, objective
from biomarl_tune.ppo.optimizer import Adam
from biomarl_tune.ppo.precision import hidden_dtype

_FLOATS = ("logp", "advantages", "returns", "labels", "label_mask")


@dataclass(frozen=True)
class Minibatch:
    """Some worlds of a batch, laid out for the written-out passes."""

    chunk: Chunk
    actions: Tensor  # [W, N T]
    floats: Tensor  # [5, W, N T] the columns of ``_FLOATS``

    @classmethod
    def whole(cls, policy: BioPolicy, batch: Batch) -> Minibatch:
        """Lay out a batch as ``Sampler.sample`` returns it."""
        return cls(
            Chunk.of(policy, batch["obs"], batch["first"], batch["memory"]),
            batch["actions"].transpose(1, 2).flatten(1),
            torch.stack([batch[name].transpose(1, 2).flatten(1) for name in _FLOATS]),
        )

    def select(self, worlds: Tensor) -> Minibatch:
        """Return some of its worlds."""
        return Minibatch(
            self.chunk.select(worlds),
            self.actions.index_select(0, worlds),
            self.floats.index_select(1, worlds),
        )

    @property
    def rows(self) -> Rows:
        """What the losses need."""
        return Rows(self.actions.view(-1), *self.floats.flatten(1))


def normalised(advantages: Tensor) -> Tensor:
    """Return the advantages of a batch with mean 0 and standard deviation 1."""
    return (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)


def explained_variance(value: Tensor, target: Tensor) -> float:
    """Return the share of the variance of the targets that the values explain, at most 1."""
    unexplained = (target - value).var(correction=0)
    return float(1.0 - unexplained / target.var(correction=0).clamp(min=1e-8))


def minibatches(
    worlds: int, experiment: Experiment, generator: np.random.Generator
) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Split the worlds at random into minibatches of about ``minibatch_size`` agent steps."""
    per_world = experiment.ppo.rollout_steps * experiment.env.num_agents
    count = max(1, min(worlds, round(worlds * per_world / experiment.ppo.minibatch_size)))
    return np.array_split(generator.permutation(worlds), count)


def gradient_step(
    weights: FlatWeights,
    gradient: FlatWeights,
    optimizer: Adam,
    minibatch: Minibatch,
    experiment: Experiment,
) -> Losses:
    """Take one step of the optimiser on one minibatch and return its losses.

    Args:
        weights: of the brain; moved.
        gradient: overwritten.
        optimizer: of as many weights.
        minibatch: what is learned from.
        experiment: the settings.
    """
    passed = Pass(minibatch.chunk, weights.parts, hidden_dtype(experiment))
    losses, d_output = objective(passed.output, minibatch.rows, experiment.ppo)
    passed.backward(d_output, gradient.parts)
    excess = (gradient.vector.norm() + 1e-6) / experiment.ppo.max_grad_norm  # times too long
    optimizer.step(weights.vector, gradient.vector, excess.clamp(min=1.0))
    return losses


@torch.no_grad()
def update(
    policy: BioPolicy,
    optimizer: Adam,
    batch: Batch,
    experiment: Experiment,
    generator: np.random.Generator,
) -> dict[str, float]:
    """Train on one batch.

    Args:
        policy: the brain.
        optimizer: of as many weights as its ``FlatWeights`` hold.
        batch: as ``Sampler.sample`` returns it.
        experiment: the settings.
        generator: shuffles the worlds.

    Returns:
        Every loss averaged over the minibatches, ``kl`` over the last epoch's alone, and
        ``explained_variance``.
    """
    whole = Minibatch.whole(policy, {**batch, "advantages": normalised(batch["advantages"])})
    weights, gradient = FlatWeights.of(policy), FlatWeights(policy)
    found: dict[str, list[float]] = defaultdict(list)
    count = 0
    for _ in range(experiment.ppo.num_epochs):
        chosen = minibatches(batch["obs"].shape[0], experiment, generator)
        count = len(chosen)
        for worlds in chosen:
            part = whole.select(torch.from_numpy(worlds))
            for name, loss in gradient_step(weights, gradient, optimizer, part, experiment).items():
                found[name].append(loss)
    weights.write_to(policy)
    found["kl"] = found["kl"][-count:]
    means = {name: float(np.mean(values)) for name, values in found.items()}
    return {**means, "explained_variance": explained_variance(batch["values"], batch["returns"])}
