r"""Location attention: where to look, decided by the query alone.

Luong's "location" score does not look at the keys: a linear map takes the query to one score per source position. It
works where what matters is where something stands.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals, weighted_sum
from .softmax_attention import softmax_weights


@reference
def location_attention(
    query: Reals, value: Reals, *, weight: Reals, mask: Booleans | None = None, return_weights: bool = False
) -> Reals | AttentionResult:
    r"""Attention to positions, without keys.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad w_{i\cdot} = \mathrm{softmax}(q_i W)$$

    Parameters
    ----------
    query : (..., m, p) real array
        One row per query.
    value : (..., n, e) real array
        One row per source position.
    weight : (p, n_max) real array
        W; its first n columns are used.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query that sees no key.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is visible.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree or there are more positions than columns.

    Notes
    -----
    Cost: m n (p + e) multiplications. Equals `softmax_attention` with the columns of W as keys and scale 1. Adding one
    vector to every column changes nothing; permuting the values changes the output.

    References
    ----------
    Luong, Pham & Manning, "Effective Approaches to Attention-based Neural Machine Translation", 2015,
    arXiv 1508.04025.

    Examples
    --------
    >>> import numpy as np
    >>> location_attention(np.zeros((1, 2)), np.array([[2.0], [6.0]]), weight=np.ones((2, 5)))
    array([[4.]])
    """
    n = value.shape[-2]
    scores = query @ weight[:, :n]  # (..., m, n)
    visible = np.ones(scores.shape[-2:], dtype=bool)
    if mask is not None:
        visible = visible & mask
    weights = softmax_weights(scores, visible)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
