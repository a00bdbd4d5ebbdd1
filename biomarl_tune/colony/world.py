"""The colony's world: E worlds of N agents stepped together, each with its own generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biomarl_tune.colony import breakthrough, food, lattice, observation, pheromone
from biomarl_tune.colony.reward import total_reward
from biomarl_tune.experiment import EnvSettings

_DRAWS = 64  # food cells drawn ahead from a world's generator, beside one a patch


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
    draws: NDArray[np.int64]  # [E, 64 + P] places of patches to come, as ranks of far cells
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
        self.state = self._blank_state()
        for world, generator in enumerate(self.generators):  # as an episode before would leave it
            self.state.food_cell[world] = generator.choice(self._far, size=env.food_patches)
        self._draw_ahead()
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
            draws=np.zeros((worlds, _DRAWS + patches), dtype=np.int64),
            cursor=np.full(worlds, _DRAWS + patches, dtype=np.int64),
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
        state.food_units[worlds] = 0
        self._place_food()

    def step(self, actions: NDArray[np.int64]) -> Transition:
        """Move every agent once, in place.

        Args:
            actions: [E, N] moves, 0 to 6.
        """
        state, env = self.state, self.env
        state.cell[:] = self._moves[state.cell, actions]
        delivered = food.unload(state.cell, state.carrying)
        picked = food.load(state.cell, state.carrying, state.food_cell, state.food_units)
        self._place_food()
        pheromone.age(
            state.pheromone,
            state.cell,
            state.carrying,
            carrier=env.carrier_deposit,
            visit=env.visit_deposit,
            decay=env.pheromone_decay,
        )
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
        observation.observe(
            out,
            state.cell,
            state.carrying,
            pheromone.scent(state.pheromone),
            self._position,
            self._moves,
            self._near,
        )

    def _place_food(self) -> None:
        """Put a full patch into another far cell for every patch that is empty."""
        state = self.state
        food.place(
            state.food_cell,
            state.food_units,
            state.draws,
            state.cursor,
            self._far,
            self.env.patch_units,
        )
        self._draw_ahead()

    def _draw_ahead(self) -> None:
        """Draw places for patches to come where fewer than one a patch is left."""
        state, choices = self.state, max(len(self._far) - 1, 1)
        for world in np.flatnonzero(state.cursor > _DRAWS):
            unused = state.draws[world, state.cursor[world] :]
            drawn = self.generators[world].integers(choices, size=state.cursor[world])
            state.draws[world] = np.concatenate([unused, drawn])
            state.cursor[world] = 0
