"""Pheromone attention: which of the seven reachable cells smells worth going to."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from biomarl_tune.colony.lattice import NUM_MOVES


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
