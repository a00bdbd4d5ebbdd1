"""Messages: every agent hears the mean of its neighbours' vectors of the same step.

The vectors are differentiable (CommNet, Sukhbaatar et al. 2016, eq. 2). In large colonies they
are summed per cell before they are spread, so that the cost is linear in the agents; in small
ones a product with a matrix of pairs is cheaper. Letters: B world steps, N agents, M message.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biomarl_tune.colony import lattice
from biomarl_tune.compiled import compiled

_DENSE_CELLS = 512  # up to here a product with a C x C matrix is cheaper than gathering
_PAIRED_AGENTS = 64  # up to here a product with an N x N matrix is cheaper than sums per cell


class Neighbourhood:
    """Which cells of a lattice are in communication range of which.

    Args:
        grid: cells along x, y, z; C in all.
        reach: greatest Euclidean distance, in cells.
    """

    def __init__(self, grid: lattice.Grid, reach: float) -> None:
        self.lists = torch.from_numpy(lattice.neighbour_lists(grid, reach))  # [C, K] padded with C
        self.cells = self.lists.shape[0]
        self.position = lattice.coordinates(grid)  # [C, 3]
        self.square = int(reach**2)  # squares of distances are whole numbers
        self._matrix: Tensor | None = None
        if self.cells <= _DENSE_CELLS:
            matrix = torch.zeros(self.cells, self.cells + 1)
            self._matrix = matrix.scatter_(1, self.lists, 1.0)[:, :-1].contiguous()

    def spread(self, sums: Tensor) -> Tensor:
        """Add up what lies in range of every cell.

        Args:
            sums: [B, C, M] what lies in each cell.

        Returns:
            [B, C, M].
        """
        if self._matrix is not None:
            return torch.matmul(self._matrix.to(sums), sums)
        return self.gather(sums)

    def gather(self, sums: Tensor) -> Tensor:
        """Do what ``spread`` does, by the lists: less memory on large lattices."""
        lists = self.lists.to(sums.device)
        padded = torch.cat([sums, sums.new_zeros(sums.shape[0], 1, sums.shape[2])], dim=1)
        total = padded.index_select(1, lists[:, 0])
        for column in lists.T[1:]:
            total = total + padded.index_select(1, column)
        return total


def hear(messages: Tensor, cell: Tensor, neighbourhood: Neighbourhood) -> Tensor:
    """Return the mean message of the other agents in range of each agent, 0 where there is none.

    Args:
        messages: [B, N, M] what each agent of B worlds says.
        cell: [B, N] where it stands.
        neighbourhood: of the lattice that ``cell`` counts.
    """
    said = torch.cat([messages, messages.new_ones(*cell.shape, 1)], dim=2)
    others = _sum_of_others(said, cell, neighbourhood)
    return others[..., :-1] / others[..., -1:].clamp(min=1.0)


def _sum_of_others(said: Tensor, cell: Tensor, neighbourhood: Neighbourhood) -> Tensor:
    """Add up, for each agent, what the others in its range say: [B, N, M]."""
    worlds, agents, width = said.shape
    cells = neighbourhood.cells
    row = (cell + cells * torch.arange(worlds, device=cell.device)[:, None]).flatten()
    rows = said.reshape(-1, width)
    sums = said.new_zeros(worlds * cells, width).index_add(0, row, rows)
    spread = neighbourhood.spread(sums.view(worlds, cells, width)).flatten(0, 1)
    return (spread.index_select(0, row) - rows).view(worlds, agents, width)


class Ears:
    """Who hears whom at every step of some worlds; made once and used for many messages.

    What is heard is linear in what is said, so ``back`` is the transposed of ``hear``.

    Args:
        cell: [W, T, N] in which every agent stands.
        neighbourhood: of the lattice that ``cell`` counts.
    """

    def __init__(self, cell: NDArray[np.int64], neighbourhood: Neighbourhood) -> None:
        self._cell = cell
        self._neighbourhood = neighbourhood
        self._weights: Tensor | None = None  # [W, T, N, N] the listener first
        agents = cell.shape[2]
        if agents <= _PAIRED_AGENTS:
            self._weights = torch.zeros(*cell.shape, agents)
            near, weights = neighbourhood, self._weights.numpy()
            _weigh(cell, near.position, near.square, weights)

    def select(self, worlds: Tensor) -> Ears:
        """Return the ears of some worlds."""
        chosen = object.__new__(Ears)
        chosen._cell = self._cell[worlds.numpy()]
        chosen._neighbourhood = self._neighbourhood
        weights = self._weights
        chosen._weights = None if weights is None else weights.index_select(0, worlds)
        return chosen

    def hear(self, said: Tensor) -> Tensor:
        """Return what is heard [M, W, N, T] of what is said [M, W, N, T]."""
        return self._apply(said, back=False)

    def back(self, gradient: Tensor) -> Tensor:
        """Turn a gradient of what is heard into one of what is said, both [M, W, N, T]."""
        return self._apply(gradient, back=True)

    def _apply(self, columns: Tensor, *, back: bool) -> Tensor:
        width, worlds, agents, steps = columns.shape
        if self._weights is None:
            heard = torch.empty(columns.shape)
            near = self._neighbourhood.lists.numpy()
            listen(columns.numpy(), self._cell, near, heard.numpy(), back)
            return heard
        weights = self._weights.flatten(0, 1)
        by_step = torch.empty(worlds, steps, width, agents)
        _copy(columns.permute(1, 3, 0, 2).numpy(), by_step.numpy())
        heard = torch.bmm(by_step.flatten(0, 1), weights if back else weights.mT)
        found = torch.empty(columns.shape)
        _copy(heard.view(by_step.shape).numpy(), found.permute(1, 3, 0, 2).numpy())
        return found


@compiled
def _copy(
    columns: NDArray[np.float32],  # [W, T, M, N]
    out: NDArray[np.float32],  # [W, T, M, N]
) -> None:
    worlds, steps, width, agents = columns.shape
    for world in range(worlds):
        for i in range(width):
            for n in range(agents):
                for t in range(steps):  # innermost, as one of the two lays it out
                    out[world, t, i, n] = columns[world, t, i, n]


@compiled
def listen(  # noqa: C901, PLR0912 - one pass, one loop
    said: NDArray[np.float32],  # [M, W, N, T]
    cell: NDArray[np.int64],  # [W, T, N]
    near: NDArray[np.int64],  # [C, .] cells in range of each, padded with C
    heard: NDArray[np.float32],  # [M, W, N, T] takes what is heard
    back: bool,  # noqa: FBT001 - compiled functions take no keywords
) -> None:
    """Do what ``hear`` does, columns first; or, going back, what its gradient does.

    Agent n hears 1 / k_n of what each of its k_n neighbours says, so going back n gets, of each
    neighbour l, 1 / k_l of the gradient.
    """
    width, worlds, agents, steps = said.shape
    cells, most = near.shape
    sums, spread = np.zeros((cells, width), np.float32), np.zeros((cells, width), np.float32)
    count, share = np.zeros(cells + 1, np.int64), np.zeros(cells, np.float32)
    for world in range(worlds):
        for t in range(steps):
            for n in range(agents):
                count[cell[world, t, n]] += 1
            for n in range(agents):
                here = cell[world, t, n]
                if share[here] == 0.0:
                    others = -1
                    for k in range(most):
                        others += count[near[here, k]]
                    share[here] = np.float32(1.0) / np.float32(max(others, 1))
                weight = share[here] if back else np.float32(1.0)
                for i in range(width):
                    sums[here, i] += weight * said[i, world, n, t]
            for n in range(agents):
                here = cell[world, t, n]
                if count[here] > 0:
                    count[here] = -1  # spread by now
                    for k in range(most):
                        place = near[here, k]
                        if count[place] != 0:
                            for i in range(width):
                                spread[here, i] += sums[place, i]
                before = share[here] if back else np.float32(1.0)
                after = np.float32(1.0) if back else share[here]
                for i in range(width):
                    own = before * said[i, world, n, t]
                    heard[i, world, n, t] = after * (spread[here, i] - own)
            for n in range(agents):
                here = cell[world, t, n]
                count[here] = 0
                share[here] = 0.0
                for i in range(width):
                    sums[here, i] = spread[here, i] = 0.0


@compiled
def _weigh(
    cell: NDArray[np.int64],  # [W, T, N]
    position: NDArray[np.int64],  # [C, 3]
    square: int,
    weights: NDArray[np.float32],  # [W, T, N, N] zeros; takes how much each agent hears each
) -> None:
    worlds, steps, agents = cell.shape
    near = np.zeros(agents, np.int64)
    for world in range(worlds):
        for t in range(steps):
            near[:] = 0
            for n in range(agents):
                here = cell[world, t, n]
                for other in range(n):
                    there = cell[world, t, other]
                    x = position[here, 0] - position[there, 0]
                    y = position[here, 1] - position[there, 1]
                    z = position[here, 2] - position[there, 2]
                    if x * x + y * y + z * z <= square:
                        weights[world, t, n, other] = weights[world, t, other, n] = 1.0
                        near[n] += 1
                        near[other] += 1
            for n in range(agents):
                share = np.float32(1.0) / np.float32(max(near[n], 1))
                for other in range(agents):
                    weights[world, t, n, other] *= share
