"""Exact samples from chains.

The forward weights of every chain are computed once, however many samples are drawn from it; then all samples take
their steps together.
Bound as `chain_marginals`; a step of the samples reads c numbers for each. Memory: n c numbers for a chain.
Differs from the reference by rounding, which moves the limits between labels.
"""

import math
from typing import Any

import numpy as np

from .chain import Chain, forward
from .logs import shares

__all__ = ["linear_chain_sample"]


def linear_chain_sample(unary: Any, pairwise: Any, *, uniform: Any, mask: Any) -> Any:
    """Return a labeling for every row of draws."""
    chain = Chain(unary, pairwise, mask)
    xp, n, c = chain.xp, chain.n, chain.c
    alphas, log_partition = forward(chain)
    possible = log_partition != -math.inf

    batch = np.broadcast_shapes(uniform.shape[:-1], chain.batch)
    path = xp.zeros((*batch, n), dtype="int64")
    label: Any = None
    for t in range(n - 1, -1, -1):
        weight = alphas[..., t, :]
        if label is not None:
            tables = xp.broadcast_to(chain.table(t), (*batch, c, c))
            chosen = xp.take_along_axis(tables, label[..., None, None], axis=-1)[..., 0]
            weight = weight + chain.where(t + 1, chosen, 0)  # the last label has none after it
        label = xp.broadcast_to(_inverse(xp, shares(xp, weight, -1), uniform[..., t, None]), batch)
        path[..., t] = chain.where(t, xp.where(possible, label, -1), -1, axes=0)
    return path


def _inverse(xp: Any, probability: Any, uniform: Any) -> Any:
    """Return how many labels have a cumulative probability of at most a draw, but no impossible label."""
    below = (xp.cumsum(probability, axis=-1) <= uniform).sum(axis=-1)
    return xp.minimum(below, xp.where(probability > 0, xp.arange(probability.shape[-1]), 0).max(axis=-1))
