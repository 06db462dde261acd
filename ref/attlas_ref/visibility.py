r"""Who sees whom, and sums over what is visible.

Two things are the same in every dense formulation. A *pair* (i, j) is visible when the mask allows it and, with
`causal`, when key j does not lie in the future of query i. And a sum over keys runs over the visible pairs only: what
a mask hides takes no part, so that not even a NaN behind it can be felt.

Multiplying by a weight of 0 is not enough for that, since $0 \cdot \mathrm{NaN} = \mathrm{NaN}$. `weighted_sum`
therefore adds the rare non-finite values pair by pair.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[Any]
Booleans = NDArray[np.bool_]


def visible_pairs(query: Reals, key: Reals, mask: Booleans | None, causal: bool, offset: int | None = None) -> Booleans:
    """Return which query sees which key, broadcastable to (..., m, n).

    The causal rule aligns the *last* query with the *last* key: j <= i + n - m. A prefix of keys that was read
    earlier is thus visible to all. `offset` replaces n - m where the arrays are windows of longer sequences.

    Examples
    --------
    >>> visible_pairs(np.ones((2, 1)), np.ones((3, 1)), None, causal=True).astype(int)
    array([[1, 1, 0],
           [1, 1, 1]])
    """
    m, n = query.shape[-2], key.shape[-2]
    visible = np.ones((m, n), dtype=bool)
    if causal:
        i, j = np.arange(m)[:, None], np.arange(n)
        # Below -m nothing is visible and above n everything; more says nothing new and may not fit an integer.
        visible = j <= i + (n - m if offset is None else max(-m, min(n, offset)))
    return visible if mask is None else visible & mask


def dot_scores(query: Reals, key: Reals, scale: float | None, bias: Reals | None) -> Reals:
    r"""Return $s_{ij} = \mathrm{scale}\,\langle q_i, k_j \rangle + \mathrm{bias}_{ij}$, shape (..., m, n).

    With unit-variance entries a dot product has variance d; the default scale $1/\sqrt d$ takes it back to 1.
    """
    scale = 1 / np.sqrt(query.shape[-1]) if scale is None else scale
    # A Python float leaves the dtype of the arrays alone.
    scores = float(scale) * (query @ key.mT)  # (..., m, n)
    return scores if bias is None else scores + bias


def weighted_sum(weights: Reals, value: Reals, visible: Booleans) -> Reals:
    r"""Return $\sum_{j \in V(i)} w_{ij} v_j$, shape (..., m, e), blind to what stands in values that nobody sees.

    Examples
    --------
    >>> weights, value = np.array([[1.0, 0.0]]), np.array([[2.0], [np.nan]])
    >>> weighted_sum(weights, value, visible=np.array([[True, False]]))
    array([[2.]])
    """
    tame = np.asarray(np.all(np.isfinite(value), axis=-1))  # (..., n): keys without a NaN or infinity
    output = np.where(tame[..., None, :], weights, 0) @ np.where(tame[..., None], value, 0)  # (..., m, e)
    for j in np.flatnonzero(~tame.all(axis=tuple(range(tame.ndim - 1)))):
        pair = weights[..., :, j, None] * value[..., None, j, :]
        felt = visible[..., :, j, None] & ~tame[..., None, j, None]  # by the heads and queries that see it
        output = np.where(felt, output + pair, output)
    return output
