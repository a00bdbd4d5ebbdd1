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


class AttentionPass:
    """The same, written out for columns first; gradients are asked for with ``backward``.

    Args:
        observed: [13, B] the observation and a one.
        scents: [7, B] the scents among them.
        keys: [8, 13] the keys times the query, as weights of ``observed``.
    """

    def __init__(self, observed: Tensor, scents: Tensor, keys: Tensor) -> None:
        self._observed, self._scents = observed, scents
        projected = keys @ observed
        self.logits = torch.addcmul(projected[1:], scents, projected[:1])  # [7, B]
        unnormalised = (self.logits - self.logits.amax(dim=0)).exp_()
        self.weights = unnormalised.div_(unnormalised.sum(dim=0))  # [7, B]
        smelled = (self.weights * scents).sum(dim=0, keepdim=True)
        self.attended = torch.cat([smelled, self.weights])  # [8, B] what the values multiply

    def backward(self, d_attended: Tensor, d_logits: Tensor, d_weights: Tensor | None) -> Tensor:
        """Return the gradient of the keys [8, 13].

        Args:
            d_attended: [8, B] of ``attended``.
            d_logits: [7, B] of the logits, as the moves' bias.
            d_weights: [7, B] of the weights, as a loss of their own has it.
        """
        change = torch.addcmul(d_attended[1:], d_attended[:1], self._scents)
        if d_weights is not None:
            change += d_weights
        change -= (self.weights * change).sum(dim=0)
        d_projected = torch.empty_like(d_attended)
        torch.addcmul(d_logits, self.weights, change, out=d_projected[1:])
        torch.sum(d_projected[1:] * self._scents, dim=0, out=d_projected[0])
        return (self._observed @ d_projected.T).T
