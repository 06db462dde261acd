"""What the functions of a chain share: one table of transitions per step, and who belongs to the chain."""

import numpy as np

from ..visibility import Booleans, Reals


def steps_of(unary: Reals, pairwise: Reals, mask: Booleans | None) -> tuple[Reals, Reals, Booleans]:
    """Return the scores of labels (..., n, c) and of transitions (..., n-1, c, c), and the chain (..., n)."""
    n, c = unary.shape[-2:]
    if pairwise.ndim == 2:  # one table for all steps
        pairwise = np.broadcast_to(pairwise, (max(n - 1, 0), c, c))
    batch = np.broadcast_shapes(unary.shape[:-2], pairwise.shape[:-3], () if mask is None else mask.shape[:-1])
    visible = np.broadcast_to(True if mask is None else mask, (*batch, n))
    return np.broadcast_to(unary, (*batch, n, c)), np.broadcast_to(pairwise, (*batch, *pairwise.shape[-3:])), visible
