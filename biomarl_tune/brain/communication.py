"""Messages: every agent hears the mean of its neighbours' vectors of the same step.

The vectors are differentiable (CommNet, Sukhbaatar et al. 2016, eq. 2), and they are summed per
cell before they are spread, so that the cost is linear in the agents.
"""

from __future__ import annotations

import torch
from torch import Tensor

_DENSE_CELLS = 512  # up to here a product with a C x C matrix is cheaper than gathering


class Neighbourhood:
    """Which cells are in communication range of which.

    Args:
        lists: [C, K] cells in range of each cell, itself included, padded with C.
    """

    def __init__(self, lists: Tensor) -> None:
        self.lists = lists
        self.cells = lists.shape[0]
        self._matrix: Tensor | None = None
        if self.cells <= _DENSE_CELLS:
            matrix = torch.zeros(self.cells, self.cells + 1)
            self._matrix = matrix.scatter_(1, lists, 1.0)[:, :-1].contiguous()

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
    worlds, agents, width = messages.shape
    cells = neighbourhood.cells
    row = (cell + cells * torch.arange(worlds, device=cell.device)[:, None]).flatten()
    said = torch.cat([messages, messages.new_ones(worlds, agents, 1)], dim=2).flatten(0, 1)
    sums = messages.new_zeros(worlds * cells, width + 1).index_add(0, row, said)
    heard = neighbourhood.spread(sums.view(worlds, cells, width + 1))
    others = heard.flatten(0, 1).index_select(0, row) - said
    mean = others[:, :width] / others[:, width:].clamp(min=1.0)
    return mean.view(worlds, agents, width)
