r"""Luong's "concat" score: additive attention with one weight for query and key together.

Concatenating query and key and multiplying by one matrix is the same as multiplying each by its part of the matrix and
adding: $[q; k]\, W = q\, W_q + k\, W_k$. So this is `additive_attention`, written as its authors wrote it.
"""

from ..contract import AttentionResult, formula, reference
from ..visibility import Booleans, Reals
from .additive_attention import additive_attention


@reference
def concat_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    weight: Reals,
    score_vector: Reals,
    mask: Booleans | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention with a one-layer network over the concatenation of query and key.

    $$s_{ij} = u \cdot \tanh\bigl([q_i; k_j]\, W\bigr)$$

    Parameters
    ----------
    query : (..., m, p) real array
        One row per query.
    key : (..., n, r) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    weight : (p + r, a) real array
        W; the rows of the query come first.
    score_vector : (a,) real array
        u.
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
        As `additive_attention`; ValueError if `weight` does not have p + r rows.

    Notes
    -----
    Cost: that of `additive_attention`, which it is with `query_weight=weight[:p]` and `key_weight=weight[p:]`.

    References
    ----------
    Luong, Pham & Manning, "Effective Approaches to Attention-based Neural Machine Translation", 2015,
    arXiv 1508.04025, eq. (8).

    Examples
    --------
    A score vector of zeros gives the mean:

    >>> import numpy as np
    >>> concat_attention(
    ...     np.ones((1, 2)), np.ones((2, 1)), np.array([[2.0], [4.0]]), weight=np.ones((3, 5)), score_vector=np.zeros(5)
    ... )
    array([[3.]])
    """
    p = query.shape[-1]
    return formula(additive_attention)(
        query,
        key,
        value,
        query_weight=weight[:p],
        key_weight=weight[p:],
        score_vector=score_vector,
        mask=mask,
        causal=causal,
        return_weights=return_weights,
    )
