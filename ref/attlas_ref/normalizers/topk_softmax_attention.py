r"""Softmax over the best few keys.

Keep the top_k largest visible scores of each query, forget the rest, and take the softmax of what is kept. The noise
of many small weights is gone, at the price of a selection that has no gradient.

Keys that tie with the last one kept are kept too, so that the result does not depend on the order of the keys.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def topk_softmax_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    top_k: int,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Softmax attention to the top_k best keys of each query.

    $$\mathrm{out}_i = \sum_{j \in K(i)} w_{ij} v_j, \qquad w_{i\cdot} = \mathrm{softmax}_{K(i)}(s_{i\cdot}), \qquad
      K(i) = \{j \in V(i) : s_{ij} \ge s_{i(\mathrm{top\_k})}\}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    top_k : int
        At least 1: how many keys to keep. With fewer visible keys all are kept.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
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
        With `return_weights` only: at most top_k entries of a row differ from 0, unless scores tie.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`; ValueError if `top_k` is below 1, TypeError if it is not a whole number.

    Notes
    -----
    Cost: m n (d + e) multiplications and a selection per row. `top_k` of at least n gives `softmax_attention`; 1 gives
    the value of the best key.

    References
    ----------
    Zhao et al., "Explicit Sparse Transformer", 2019, arXiv 1912.11637.

    Examples
    --------
    >>> import numpy as np
    >>> key = np.array([[2.0], [1.0], [1.5], [-1.0]])
    >>> topk_softmax_attention(np.array([[1.0]]), key, np.eye(4), top_k=2).round(3)
    array([[0.622, 0.   , 0.378, 0.   ]])
    """
    visible = visible_pairs(query, key, mask, causal)
    scores = np.where(visible, dot_scores(query, key, scale, bias), -np.inf)  # (..., m, n)
    n = scores.shape[-1]
    kept = visible
    if top_k < n:
        threshold = np.sort(scores, axis=-1)[..., n - top_k, None]  # (..., m, 1), -inf where fewer are visible
        # A row that a visible NaN has reached keeps all: the NaN is then in every weight.
        kept = visible & ~(scores < threshold)
    weights = softmax_weights(scores, kept)
    output = weighted_sum(weights, value, kept)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
