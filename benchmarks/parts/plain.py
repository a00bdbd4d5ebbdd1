"""The plain torch loop: PPO on the colony as a good engineer would write it first."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from biomarl_tune.colony.lattice import NUM_MOVES
from biomarl_tune.colony.observation import NUM_COLUMNS
from biomarl_tune.colony.world import Colony
from biomarl_tune.experiment import Experiment


def network(hidden: int, outputs: int) -> nn.Sequential:
    """Return a multi-layer perceptron of two hidden layers."""
    return nn.Sequential(
        nn.Linear(NUM_COLUMNS, hidden),
        nn.Tanh(),
        nn.Linear(hidden, hidden),
        nn.Tanh(),
        nn.Linear(hidden, outputs),
    )


class PlainLoop:
    """Vectorised worlds, two perceptrons, flat minibatches, torch's own parts throughout."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.colony = Colony(experiment.env, range(experiment.num_worlds))
        hidden = experiment.model.hidden_dim
        self.actor, self.critic = network(hidden, NUM_MOVES), network(hidden, 1)
        self.parameters = [*self.actor.parameters(), *self.critic.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, lr=experiment.ppo.learning_rate)

    def iterate(self) -> int:
        """Sample a batch, learn from it and return its agent steps."""
        batch = self._sample()
        self._learn(batch)
        return batch["logp"].numel()

    def _observe(self) -> torch.Tensor:
        shape = (self.colony.worlds, self.experiment.env.num_agents, NUM_COLUMNS)
        obs = np.empty(shape, dtype=np.float32)
        self.colony.observe(obs)
        return torch.from_numpy(obs)

    @torch.no_grad()
    def _sample(self) -> dict[str, torch.Tensor]:
        ppo = self.experiment.ppo
        steps, shape = ppo.rollout_steps, (ppo.rollout_steps, self.colony.worlds)
        shape = (*shape, self.experiment.env.num_agents)
        obs = torch.empty(*shape, NUM_COLUMNS)
        actions = torch.empty(shape, dtype=torch.int64)
        logp, reward, values = torch.empty(shape), torch.empty(shape), torch.empty(shape)
        last = torch.empty(shape[:2], dtype=torch.bool)
        for t in range(steps):
            obs[t] = self._observe()
            choice = torch.distributions.Categorical(logits=self.actor(obs[t]))
            actions[t] = choice.sample()
            logp[t] = choice.log_prob(actions[t])
            values[t] = self.critic(obs[t]).squeeze(-1)
            transition = self.colony.step(actions[t].numpy())
            reward[t] = torch.from_numpy(transition.reward)
            last[t] = torch.from_numpy(transition.done)
            if transition.done.any():
                self.colony.reset(np.flatnonzero(transition.done))
        following = self.critic(self._observe()).squeeze(-1)
        advantages, carry = torch.empty(shape), torch.zeros(shape[1:])
        for t in reversed(range(steps)):
            going = 1.0 - last[t, :, None].float()
            delta = reward[t] + ppo.gamma * following * going - values[t]
            carry = delta + ppo.gamma * ppo.gae_lambda * going * carry
            advantages[t], following = carry, values[t]
        columns = {"actions": actions, "logp": logp, "advantages": advantages}
        columns["returns"] = advantages + values
        flat = {name: column.flatten() for name, column in columns.items()}
        return {**flat, "obs": obs.flatten(0, 2)}

    def _learn(self, batch: dict[str, torch.Tensor]) -> None:
        ppo = self.experiment.ppo
        advantages = batch["advantages"]
        batch["advantages"] = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        for _ in range(ppo.num_epochs):
            for index in torch.randperm(len(advantages)).split(ppo.minibatch_size):
                part = {name: column[index] for name, column in batch.items()}
                self._gradient_step(part)

    def _gradient_step(self, part: dict[str, torch.Tensor]) -> None:
        ppo = self.experiment.ppo
        choice = torch.distributions.Categorical(logits=self.actor(part["obs"]))
        ratio = (choice.log_prob(part["actions"]) - part["logp"]).exp()
        clipped = ratio.clamp(1 - ppo.clip, 1 + ppo.clip)
        policy = -torch.min(ratio * part["advantages"], clipped * part["advantages"]).mean()
        value = nn.functional.mse_loss(self.critic(part["obs"]).squeeze(-1), part["returns"])
        entropy = choice.entropy().mean()
        loss = policy + ppo.value_coefficient * value - ppo.entropy_coefficient * entropy
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, ppo.max_grad_norm)
        self.optimizer.step()
