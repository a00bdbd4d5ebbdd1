"""The scalars of a report: one name for tables, TensorBoard and the live stream."""

from __future__ import annotations

SCALARS: dict[str, str] = {
    "episode_return_mean": "colony return of an episode, at the rate of the iteration (reward)",
    "episode_return_min": "lowest colony return of the episodes that ended (reward)",
    "episode_return_max": "highest colony return of the episodes that ended (reward)",
    "episode_len_mean": "length of the episodes that ended, averaged (steps)",
    "deliveries_per_episode": "food units brought to the nest by a colony, likewise (per episode)",
    "pheromone_strength": "pheromone in a cell, averaged over cells and steps",
    "trail_coverage": "share of cells whose pheromone is above one tenth of a deposit",
    "plasticity_norm": "Frobenius norm of an agent's memory, averaged",
    "message_norm": "Euclidean norm of a message, averaged",
    "coordination": "share of pairs in one cell with like loads that choose the same move "
    "(chance: 1/7)",
    "breakthrough_frequency": "breakthroughs of agents (per 1,000 agent steps)",
    "policy_loss": "clipped surrogate loss, averaged over the iteration's minibatches",
    "value_loss": "loss of the value head, averaged over the iteration's minibatches",
    "entropy": "entropy of the move distribution (nats)",
    "kl": "divergence of the new policy from the one that sampled (nats)",
    "explained_variance": "share of the variance of the value targets that the values explain",
    "agent_steps": "agent steps sampled since the start of the trial",
    "agent_steps_per_second": "agent steps of the iteration over its wall time (per second)",
    "sample_seconds": "wall time of the iteration's sampling (seconds)",
    "learn_seconds": "wall time of the iteration's gradient steps (seconds)",
    "rss_mb": "resident memory of the trial's process (MB)",
}
