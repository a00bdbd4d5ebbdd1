"""The update: some epochs of gradient steps over minibatches of whole worlds."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from torch import Tensor, nn

from biomarl_tune.brain.policy import BioPolicy
from biomarl_tune.experiment import Experiment
from biomarl_tune.ppo.losses import Batch, losses
from biomarl_tune.ppo.optimizer import Adam


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
    policy: BioPolicy,
    optimizer: Adam,
    batch: Batch,
    experiment: Experiment,
) -> Batch:
    """Take one step of the optimiser on one minibatch and return its losses, detached."""
    output = policy.sequence(batch["obs"], batch["first"], batch["memory"])
    parts = losses(output, batch, experiment.ppo)
    optimizer.zero_grad()
    parts["total"].backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(policy.parameters(), experiment.ppo.max_grad_norm)
    optimizer.step()
    return {name: part.detach() for name, part in parts.items()}


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
        optimizer: over its parameters.
        batch: as ``Sampler.sample`` returns it.
        experiment: the settings.
        generator: shuffles the worlds.

    Returns:
        Every loss averaged over the minibatches, ``kl`` over the last epoch's alone, and
        ``explained_variance``.
    """
    batch = {**batch, "advantages": normalised(batch["advantages"])}
    found: dict[str, list[Tensor]] = defaultdict(list)
    count = 0
    for _ in range(experiment.ppo.num_epochs):
        chosen = minibatches(batch["obs"].shape[0], experiment, generator)
        count = len(chosen)
        for worlds in chosen:
            index = torch.from_numpy(worlds)
            part = {name: column.index_select(0, index) for name, column in batch.items()}
            for name, loss in gradient_step(policy, optimizer, part, experiment).items():
                found[name].append(loss)
    found["kl"] = found["kl"][-count:]
    means = {name: float(torch.stack(values).mean()) for name, values in found.items()}
    return {**means, "explained_variance": explained_variance(batch["values"], batch["returns"])}
