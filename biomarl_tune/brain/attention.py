"""Pheromone attention: which of the seven reachable cells smells worth going to."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from biomarl_tune.colony.lattice import NUM_MOVES
from biomarl_tune.compiled import compiled


class PheromoneAttention(nn.Module):
    """One query over seven tokens, one a reachable cell.

    Token ``j`` has the key ``s_j w_k + e_j`` and the value ``s_j w_v + f_j`` of its scent
    ``s_j`` and learned embeddings of its direction; the query is linear in the rest of the
    observation (dot-product attention, Vaswani et al. 2017, eq. 1). Because tokens are linear
    in one number, the products with ``w_k`` and ``e_j`` are taken once for the query and no
    token is ever built.

    Args:
        query_columns: observation columns that make the query.
        width: numbers in a key, a query and a value.
    """

    def __init__(self, query_columns: int, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_columns, width)
        self.keys = nn.Parameter(torch.randn(1 + NUM_MOVES, width) / width**0.5)  # w_k, e_j
        self.values = nn.Parameter(torch.randn(1 + NUM_MOVES, width) / width**0.5)  # w_v, f_j

    def forward(self, scents: Tensor, rest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Attend.

        Args:
            scents: [B, 7] scent here and in the six reachable cells.
            rest: [B, query_columns] the other columns.

        Returns:
            The attention logits [B, 7], the weights [B, 7] and the attended value [B, width].
        """
        keys = self.keys / self.keys.shape[1] ** 0.5
        projected = torch.addmm(
            keys @ self.query.bias.unsqueeze(1), keys @ self.query.weight, rest.T
        )  # [8, B]
        columns = scents.T
        logits = torch.addcmul(projected[1:], columns, projected[:1])
        unnormalised = torch.exp(logits - logits.detach().amax(dim=0))
        weights = unnormalised / unnormalised.sum(dim=0)
        smelled = (weights * columns).sum(dim=0, keepdim=True)
        attended = torch.addmm(self.values[:1].T * smelled, self.values[1:].T, weights)
        return logits.T, weights.T, attended.T


@compiled
def attend(
    projected: NDArray[np.float32],  # [8, B] the query times w_k and the e_j
    scents: NDArray[np.float32],  # [7, B]
    attended: NDArray[np.float32],  # [8, B] takes the scent that is smelled, and the weights
    logits: NDArray[np.float32],  # [7, B] takes the logits
) -> None:
    """Attend, columns first, up to the product with the values."""
    moves, rows = logits.shape
    for row in range(rows):
        greatest = np.float32(-np.inf)
        for move in range(moves):
            logit = projected[1 + move, row] + scents[move, row] * projected[0, row]
            logits[move, row] = logit
            greatest = max(greatest, logit)
        total = np.float32(0.0)
        for move in range(moves):
            chance = np.exp(logits[move, row] - greatest)
            attended[1 + move, row] = chance
            total += chance
        smelled = np.float32(0.0)
        for move in range(moves):
            attended[1 + move, row] /= total
            smelled += attended[1 + move, row] * scents[move, row]
        attended[0, row] = smelled


@compiled
def attend_back(
    attended: NDArray[np.float32],  # [8, B] as ``attend`` left it
    scents: NDArray[np.float32],  # [7, B]
    d_attended: NDArray[np.float32],  # [8, B]
    d_logits: NDArray[np.float32],  # [7, B] of the logits as the moves' bias
    d_projected: NDArray[np.float32],  # [8, B] takes the gradient
) -> None:
    """Turn gradients of what ``attend`` found into that of what it was given."""
    moves, rows = scents.shape
    for row in range(rows):
        mean = np.float32(0.0)
        for move in range(moves):
            change = d_attended[1 + move, row] + d_attended[0, row] * scents[move, row]
            mean += attended[1 + move, row] * change
        scented = np.float32(0.0)
        for move in range(moves):
            change = d_attended[1 + move, row] + d_attended[0, row] * scents[move, row]
            d_logit = d_logits[move, row] + attended[1 + move, row] * (change - mean)
            d_projected[1 + move, row] = d_logit
            scented += d_logit * scents[move, row]
        d_projected[0, row] = scented
