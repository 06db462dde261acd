"""What the functions of a chain share: the layout of a call, and the forward recursion.

Positions follow one another; at each, all chains and all pairs of labels are computed at once.
"""

from typing import Any

import numpy as np
from array_api_compat import array_namespace

from .logs import finite_or_zero, log_sum_exp, nonzero, weighed


class Chain:
    """One call; nothing is copied or expanded."""

    def __init__(self, unary: Any, pairwise: Any, mask: Any) -> None:
        self.xp = array_namespace(unary)
        self.unary, self.pairwise = unary, pairwise
        self.n, self.c = unary.shape[-2:]
        self.visible = None if mask is None else self.xp.broadcast_to(mask, (*mask.shape[:-1], self.n))
        leading = () if mask is None else mask.shape[:-1]
        self.batch = np.broadcast_shapes(unary.shape[:-2], pairwise.shape[:-3], leading)

    def empty(self, *core: int) -> Any:
        """Return an array to be filled, (..., *core)."""
        return self.xp.empty((*self.batch, *core), dtype=self.unary.dtype)

    def table(self, t: int) -> Any:
        """Return the scores of the labels at t and t + 1, (..., c, c)."""
        return self.pairwise if self.pairwise.ndim == 2 else self.pairwise[..., t, :, :]

    def where(self, t: Any, now: Any, otherwise: Any, axes: int = 1) -> Any:
        """Choose by whether position t, or each of a slice, belongs to the chain.

        What is chosen has so many axes behind those of the batch and the positions.
        """
        if self.visible is None:
            return now
        seen = self.visible[..., t]
        return self.xp.where(seen[(..., *(None,) * axes)], now, otherwise)

    def nonempty(self, now: Any, otherwise: Any) -> Any:
        """Choose by whether a chain has any position, (...)."""
        return self.where(0, now, otherwise, axes=0)


def forward(chain: Chain, pairs: Any = None) -> tuple[Any, Any]:
    """Return the logarithms of what beginnings weigh by their last label, (..., n, c), and log Z, (...).

    Each position's are shifted to have the maximum 0; past the length of a chain they stay as they were at the end.
    `pairs`, (..., n-1, c, c), is filled with the probabilities of a label (row) given the next one (column).
    """
    xp, n = chain.xp, chain.n
    alphas, shifts = chain.empty(n, chain.c), chain.empty(n)
    alpha: Any = 0
    for t in range(n):
        weight = chain.unary[..., t, :]
        if t:
            parts, mass, top = weighed(xp, alpha[..., :, None] + chain.table(t - 1), -2)
            if pairs is not None:
                pairs[..., t - 1, :, :] = parts / nonzero(xp, mass)
            weight = (xp.log(mass) + top)[..., 0, :] + weight
        shift = weight.max(axis=-1, keepdims=True)
        alpha = chain.where(t, weight - finite_or_zero(xp, shift), alpha)
        alphas[..., t, :] = alpha
        shifts[..., t] = chain.where(t, shift[..., 0], 0, axes=0)
    if n == 0:
        return alphas, shifts.sum(axis=-1)
    return alphas, chain.nonempty(shifts.sum(axis=-1) + log_sum_exp(xp, alphas[..., -1, :], -1)[..., 0], 0)
