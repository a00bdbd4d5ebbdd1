"""The colony's world: E worlds of N agents stepped together, each with its own generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biomarl_tune.colony import breakthrough, lattice, observation, pheromone
from biomarl_tune.colony.reward import total_reward
from biomarl_tune.experiment import EnvSettings

_DRAWS = 64  # food cells drawn from a world's generator at a time


@dataclass(frozen=True)
class ColonyState:
    """All that changes while worlds live; the arrays are written in place.

    E worlds, N agents, C cells, P food patches.
    """

    cell: NDArray[np.int64]  # [E, N] where each agent is
    carrying: NDArray[np.bool_]  # [E, N]
    pheromone: NDArray[np.float32]  # [E, C]
    food_cell: NDArray[np.int64]  # [E, P]
    food_units: NDArray[np.int64]  # [E, P]
    step: NDArray[np.int64]  # [E] steps since the episode began
    draws: NDArray[np.int64]  # [E, 64] places of coming patches, as ranks among the far cells
    cursor: NDArray[np.int64]  # [E] draws used up
    history: breakthrough.ReturnHistory


@dataclass(frozen=True)
class Transition:
    """What one step of the worlds brought."""

    reward: NDArray[np.float32]  # [E, N]
    picked: NDArray[np.bool_]  # [E, N] loaded food in this step
    delivered: NDArray[np.bool_]  # [E, N] unloaded food in this step
    breakthrough: NDArray[np.float32]  # [E, N + 1] size, 0 for none; the last is the colony's
    done: NDArray[np.bool_]  # [E] the episode has reached its last step


class Colony:
    """E worlds stepped together.

    World *i* depends on its own seed alone, so it equals the same world stepped by itself.

    Args:
        env: the settings of the worlds.
        seeds: one seed a world; anything that ``numpy.random.SeedSequence`` takes.
    """

    def __init__(self, env: EnvSettings, seeds: Sequence[int | Sequence[int]]) -> None:
        self.env = env
        self.generators = [np.random.default_rng(seed) for seed in seeds]
        self.worlds = len(self.generators)
        self._moves = lattice.move_table(env.grid_size)
        self._position = lattice.scaled_coordinates(env.grid_size)
        self._far = lattice.far_cells(env.grid_size)
        self._near = lattice.neighbour_lists(env.grid_size, env.communication_range)
        self._offset = (env.num_cells * np.arange(self.worlds))[:, None]  # [E, 1]
        self._worlds = np.arange(self.worlds)[:, None, None]  # [E, 1, 1]
        self.state = self._blank_state()
        for world, generator in enumerate(self.generators):  # as an episode before would leave it
            self.state.food_cell[world] = generator.choice(self._far, size=env.food_patches)
        self.reset(np.arange(self.worlds))

    def _blank_state(self) -> ColonyState:
        worlds, agents, patches = self.worlds, self.env.num_agents, self.env.food_patches
        window = self.env.breakthrough_window
        return ColonyState(
            cell=np.zeros((worlds, agents), dtype=np.int64),
            carrying=np.zeros((worlds, agents), dtype=np.bool_),
            pheromone=np.zeros((worlds, self.env.num_cells), dtype=np.float32),
            food_cell=np.zeros((worlds, patches), dtype=np.int64),
            food_units=np.zeros((worlds, patches), dtype=np.int64),
            step=np.zeros(worlds, dtype=np.int64),
            draws=np.zeros((worlds, _DRAWS), dtype=np.int64),
            cursor=np.full(worlds, _DRAWS, dtype=np.int64),
            history=breakthrough.empty_history(worlds, agents, window),
        )

    def reset(self, worlds: NDArray[np.int64]) -> None:
        """Begin a new episode in some worlds: agents in the nest, fresh food, no pheromone."""
        state = self.state
        state.cell[worlds] = lattice.NEST
        state.carrying[worlds] = False
        state.pheromone[worlds] = 0.0
        state.step[worlds] = 0
        breakthrough.forget(state.history, worlds)
        for patch in range(self.env.food_patches):
            self._place_food(worlds, patch)

    def step(self, actions: NDArray[np.int64]) -> Transition:
        """Move every agent once, in place.

        Args:
            actions: [E, N] moves, 0 to 6.
        """
        state, env = self.state, self.env
        state.cell[:] = self._moves[state.cell, actions]
        delivered = state.carrying & (state.cell == lattice.NEST)
        state.carrying[:] &= ~delivered
        picked = self._load()
        laid = pheromone.deposit(
            state.cell,
            state.carrying,
            num_cells=env.num_cells,
            carrier=env.carrier_deposit,
            visit=env.visit_deposit,
        )
        pheromone.evaporate(state.pheromone, laid, decay=env.pheromone_decay)
        if env.pheromone_diffusion:
            pheromone.diffuse(state.pheromone, self._moves, share=env.pheromone_diffusion)
        reward = total_reward(picked, delivered, env)
        size = breakthrough.detect(state.history, reward, threshold=env.breakthrough_threshold)
        state.step[:] += 1
        done = state.step >= env.max_episode_steps
        return Transition(reward, picked, delivered, size, done)

    def observe(self, out: NDArray[np.float32]) -> None:
        """Write what the agents observe now into ``out`` [E, N, 12]."""
        state = self.state
        smell = pheromone.scent(state.pheromone).ravel()
        observation.write_observation(
            out,
            position=self._position[state.cell],
            scents=smell[self._moves[state.cell] + self._offset[:, :, None]],
            carrying=state.carrying,
            crowd=self._crowd(),
        )

    def _crowd(self) -> NDArray[np.float32]:
        """Return the share of the other agents that are in range of each agent [E, N]."""
        cells = self.env.num_cells
        count = np.bincount((self.state.cell + self._offset).ravel(), minlength=self.worlds * cells)
        padded = np.zeros((self.worlds, cells + 1), dtype=np.float32)
        padded[:, :-1] = count.reshape(self.worlds, cells)
        crowd: NDArray[np.float32]
        if self.env.num_agents < cells:  # look around every agent, or around every cell
            crowd = padded[self._worlds, self._near[self.state.cell]].sum(axis=2)
        else:
            in_range = padded[:, self._near].sum(axis=2)  # [E, C]
            crowd = in_range.ravel()[self.state.cell + self._offset]
        crowd -= np.float32(1.0)
        crowd /= np.float32(max(self.env.num_agents - 1, 1))
        return crowd

    def _load(self) -> NDArray[np.bool_]:
        """Load empty agents that stand on food, the lowest numbers first; replace used-up food."""
        state = self.state
        picked = np.zeros_like(state.carrying)
        for patch in range(self.env.food_patches):
            wants = ~state.carrying & (state.cell == state.food_cell[:, patch, None])
            units = state.food_units[:, patch]
            gets = wants & (np.cumsum(wants, axis=1) <= units[:, None])
            units -= gets.sum(axis=1)
            state.carrying[:] |= gets
            picked |= gets
            exhausted = np.flatnonzero(units == 0)
            if exhausted.size:
                self._place_food(exhausted, patch)
        return picked

    def _place_food(self, worlds: NDArray[np.int64], patch: int) -> None:
        """Put a full patch into another far cell of some worlds."""
        state = self.state
        for world in worlds[state.cursor[worlds] == _DRAWS]:
            choices = max(len(self._far) - 1, 1)
            state.draws[world] = self.generators[world].integers(choices, size=_DRAWS)
            state.cursor[world] = 0
        cell = self._far[state.draws[worlds, state.cursor[worlds]]]
        same = cell == state.food_cell[worlds, patch]
        state.food_cell[worlds, patch] = np.where(same, self._far[-1], cell)
        state.food_units[worlds, patch] = self.env.patch_units
        state.cursor[worlds] += 1
