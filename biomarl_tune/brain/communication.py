"""Messages: every agent hears the mean of its neighbours' vectors of the same step.

The vectors are differentiable (CommNet, Sukhbaatar et al. 2016, eq. 2). In large colonies they
are summed per cell before they are spread, so that the cost is linear in the agents; in small
ones a product with a matrix of pairs is cheaper. Letters: B world steps, N agents, M message.
"""

from __future__ import annotations

import torch
from torch import Tensor

from biomarl_tune.colony import lattice

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
        self._position = torch.from_numpy(lattice.coordinates(grid)).float()  # [C, 3]
        self._square = float(int(reach**2))  # squares of distances are whole numbers
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

    def pairs(self, cell: Tensor) -> Tensor:
        """Return for agents in some cells [..., N] who is in range of whom, 1 or 0 [..., N, N].

        The cost does not depend on the size of the lattice.
        """
        if self._matrix is None:
            position = self._position.to(cell.device)[cell]
            square = position.square().sum(dim=-1)
            apart = square[..., :, None] + square[..., None, :] - 2.0 * position @ position.mT
            return (apart <= self._square).float()
        pair = (cell * self.cells)[..., :, None] + cell[..., None, :]
        matrix = self._matrix.to(cell.device).view(-1)
        return matrix.index_select(0, pair.view(-1)).view(pair.shape)

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

    def __init__(self, cell: Tensor, neighbourhood: Neighbourhood) -> None:
        self._cell = cell
        self._neighbourhood = neighbourhood
        self._weights: Tensor | None = None  # [W, T, N, N] the listener first
        if cell.shape[2] <= _PAIRED_AGENTS:
            self._weights = _mean_weights(cell, neighbourhood)

    def select(self, worlds: Tensor) -> Ears:
        """Return the ears of some worlds."""
        chosen = object.__new__(Ears)
        chosen._cell = self._cell.index_select(0, worlds)
        chosen._neighbourhood = self._neighbourhood
        weights = self._weights
        chosen._weights = None if weights is None else weights.index_select(0, worlds)
        return chosen

    def hear(self, said: Tensor) -> Tensor:
        """Return what is heard [M, W, N, T] of what is said [M, W, N, T]."""
        return self._apply(said, transposed=False)

    def back(self, gradient: Tensor) -> Tensor:
        """Turn a gradient of what is heard into one of what is said, both [M, W, N, T]."""
        return self._apply(gradient, transposed=True)

    def _apply(self, columns: Tensor, *, transposed: bool) -> Tensor:
        width, worlds, agents, steps = columns.shape
        if self._weights is None:
            rows = columns.permute(1, 3, 2, 0).reshape(-1, agents, width)
            cell = self._cell.flatten(0, 1)
            count = _sum_of_others(torch.ones_like(rows[..., :1]), cell, self._neighbourhood)
            share = 1.0 / count.clamp(min=1.0)
            rows = rows * share if transposed else rows
            heard = _sum_of_others(rows, cell, self._neighbourhood)
            heard = heard if transposed else heard * share
            return heard.view(worlds, steps, agents, width).permute(3, 0, 2, 1)
        weights = self._weights.flatten(0, 1)
        rows = columns.permute(1, 3, 0, 2).reshape(-1, width, agents)
        heard = torch.bmm(rows, weights if transposed else weights.transpose(1, 2))
        return heard.view(worlds, steps, width, agents).permute(2, 0, 3, 1)


def _mean_weights(cell: Tensor, neighbourhood: Neighbourhood) -> Tensor:
    """Return the weights [..., N, N] with which each agent hears each, 0 of itself."""
    near = neighbourhood.pairs(cell)
    near.diagonal(dim1=-2, dim2=-1).zero_()
    near /= near.sum(dim=-1, keepdim=True).clamp_(min=1.0)
    return near
