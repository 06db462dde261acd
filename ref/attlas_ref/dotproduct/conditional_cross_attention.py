r"""Conditional cross-attention: what and where, scored apart.

In a detection transformer a query looks for something (its content) somewhere (its position). Concatenating content
and position in queries and keys makes the score a sum of two inner products, so that each part finds its own match;
adding them would mix the two.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum
from .softmax_attention import softmax_weights


@reference
def conditional_cross_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    query_spatial: Reals,
    key_spatial: Reals,
    *,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Softmax attention with the sum of a content score and a spatial score.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad w_{i\cdot} = \mathrm{softmax}(s_{i\cdot}), \qquad
      s_{ij} = \mathrm{scale}\,\bigl(\langle q_i, k_j\rangle + \langle p^q_i, p^k_j\rangle\bigr) + \mathrm{bias}_{ij}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    query_spatial : (..., m, t) real array
        Where each query looks.
    key_spatial : (..., n, t) real array
        Where each key is.
    scale : float, optional
        Factor of both dot products; $1/\sqrt{d + t}$ if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    bias : (..., m, n) real array, optional
        Added to the scaled scores.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.
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
        As `softmax_attention`.

    Notes
    -----
    Cost: m n (d + t + e) multiplications. Equals `softmax_attention` on [query; query_spatial] and [key; key_spatial]
    without building them.

    References
    ----------
    Meng et al., "Conditional DETR for Fast Training Convergence", 2021, arXiv 2108.06152.

    Examples
    --------
    Equal contents; the position decides:

    >>> import numpy as np
    >>> same = np.zeros((2, 1))
    >>> conditional_cross_attention(
    ...     same[:1], same, np.array([[1.0], [2.0]]), np.array([[0.0, 9.0]]), np.eye(2), scale=1.0
    ... ).round(2)
    array([[2.]])
    """
    visible = visible_pairs(query, key, mask, causal)
    width = query.shape[-1] + query_spatial.shape[-1]
    scale = 1 / float(np.sqrt(width)) if scale is None else scale
    scores = scale * (query @ key.mT + query_spatial @ key_spatial.mT)  # (..., m, n)
    if bias is not None:
        scores = scores + bias
    weights = softmax_weights(scores, visible)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
