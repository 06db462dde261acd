r"""Bilinear attention: Luong's "general" score.

A matrix between query and key lets them live in different spaces and says which directions of the one matter for which
of the other: $s_{ij} = q_i^\top W k_j$. A product of two projections, as in transformers, is the case of low rank.
"""

from ..contract import AttentionResult, reference
from ..normalizers.sparsemax import sparsemax_weights
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum
from .softmax_attention import softmax_weights


@reference
def bilinear_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    weight: Reals,
    normalizer: str = "softmax",
    mask: Booleans | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention with a bilinear form as its score.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad w_{i\cdot} = \mathrm{softmax}(s_{i\cdot}), \qquad
      s_{ij} = q_i^\top W k_j$$

    Parameters
    ----------
    query : (..., m, p) real array
        One row per query.
    key : (..., n, r) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    weight : (p, r) real array
        W.
    normalizer : {"softmax", "sparsemax"}, default "softmax"
        How scores become weights.
    mask : (..., m, n) boolean array, optional
        True = may attend.
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
        If shapes disagree or `normalizer` is unknown.

    Notes
    -----
    Cost: one projection and that of `softmax_attention`; with W the identity it is `softmax_attention` with scale 1.

    References
    ----------
    Luong, Pham & Manning, "Effective Approaches to Attention-based Neural Machine Translation", 2015,
    arXiv 1508.04025.

    Examples
    --------
    A matrix that swaps two directions:

    >>> import numpy as np
    >>> swap = 9 * np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> bilinear_attention(np.array([[1.0, 0.0]]), np.eye(2), np.array([[1.0], [2.0]]), weight=swap).round(2)
    array([[2.]])
    """
    visible = visible_pairs(query, key, mask, causal)
    scores = dot_scores(query @ weight, key, scale=1.0, bias=None)  # (..., m, n)
    weights = softmax_weights(scores, visible) if normalizer == "softmax" else sparsemax_weights(scores, visible)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
