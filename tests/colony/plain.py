"""The rules of the world in plain numpy: what the compiled ones have to equal.

Letters: E worlds, N agents, C cells, P patches.
"""

import numpy as np

from biomarl_tune.colony import lattice
from biomarl_tune.colony.world import Colony, Transition


class PlainColony(Colony):
    """A colony that steps and observes without compiled code, and draws food one at a time."""

    def step(self, actions):
        """Move every agent once, in place."""
        state, env = self.state, self.env
        state.cell[:] = self._moves[state.cell, actions]
        delivered = state.carrying & (state.cell == lattice.NEST)
        state.carrying[:] &= ~delivered
        picked = self._load()
        load = env.carrier_deposit * state.carrying + env.visit_deposit
        laid = np.zeros((self.worlds, env.num_cells))
        np.add.at(laid, (np.arange(self.worlds)[:, None], state.cell), load)
        state.pheromone[:] *= np.float32(env.pheromone_decay)
        state.pheromone[:] += laid.astype(np.float32)
        arriving = state.pheromone[:, self._moves[:, 1:]].mean(axis=2)
        share = np.float32(env.pheromone_diffusion)
        state.pheromone[:] = (1 - share) * state.pheromone + share * arriving
        reward = np.full(picked.shape, env.step_reward, dtype=np.float32)
        reward += np.float32(env.delivery_reward) * delivered
        reward += np.float32(env.pickup_reward) * picked
        shared = np.float32(env.shared_delivery_reward)
        reward += shared * delivered.sum(axis=1, keepdims=True, dtype=np.float32)
        size = self._detect(reward)
        state.step[:] += 1
        return Transition(reward, picked, delivered, size, state.step >= env.max_episode_steps)

    def observe(self, out):
        """Write what the agents observe now into ``out`` [E, N, 12]."""
        state, worlds = self.state, np.arange(self.worlds)[:, None]
        smell = np.log1p(state.pheromone) / np.float32(3.0)
        count = np.zeros((self.worlds, self.env.num_cells + 1))
        np.add.at(count, (worlds, state.cell), 1)
        count[:, -1] = 0  # the cell that neighbour lists are padded with
        others = count[worlds[:, :, None], self._near[state.cell]].sum(axis=2) - 1
        out[..., :3] = self._position[state.cell]
        out[..., 3:10] = smell[worlds[:, :, None], self._moves[state.cell]]
        out[..., 10] = state.carrying
        out[..., 11] = others / max(self.env.num_agents - 1, 1)

    def _load(self):
        state = self.state
        picked = np.zeros_like(state.carrying)
        for patch in range(self.env.food_patches):
            wants = ~state.carrying & (state.cell == state.food_cell[:, patch, None])
            gets = wants & (np.cumsum(wants, axis=1) <= state.food_units[:, patch, None])
            state.food_units[:, patch] -= gets.sum(axis=1)
            state.carrying[:] |= gets
            picked |= gets
            for world in np.flatnonzero(state.food_units[:, patch] == 0):
                self._place(world, patch)
        return picked

    def _place_food(self):
        for world, patch in np.argwhere(self.state.food_units == 0):
            self._place(world, patch)

    def _draw_ahead(self):
        """Draw nothing: every place is drawn when it is needed."""

    def _place(self, world, patch):
        state, choices = self.state, max(len(self._far) - 1, 1)
        cell = self._far[self.generators[world].integers(choices)]
        same = cell == state.food_cell[world, patch]
        state.food_cell[world, patch] = self._far[-1] if same else cell
        state.food_units[world, patch] = self.env.patch_units

    def _detect(self, reward):
        history = self.state.history
        window, worlds = history.rewards.shape[0], np.arange(self.worlds)
        columns = np.concatenate([reward, reward.mean(axis=1, keepdims=True)], axis=1)
        history.rewards[history.count % window, worlds] = columns
        windowed = history.rewards.sum(axis=0)
        count = history.count[:, None]
        excess = windowed - history.mean
        deviation = np.sqrt(history.spread / np.maximum(count, 1))
        limit = np.float32(self.env.breakthrough_threshold) * deviation + np.float32(1e-4)
        above = (count >= 2 * window) & (excess > limit)
        size = np.where(above & ~history.above, excess, np.float32(0.0))
        history.mean[:] += excess / (count + 1)
        history.spread[:] += excess * (windowed - history.mean)
        history.above[:] = above
        history.count[:] += 1
        return size
