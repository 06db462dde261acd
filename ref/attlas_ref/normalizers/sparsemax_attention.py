r"""Attention with sparsemax: exact zeros in place of small weights.

The scores are those of softmax attention; the map from a row of scores to weights is the Euclidean projection onto the
simplex (`sparsemax`). A key that is a full unit of score behind the best gets no weight at all, and the output depends
on the remaining few alone.
"""

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum
from .sparsemax import sparsemax_weights


@reference
def sparsemax_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention whose weights are the projection of the scores onto the simplex.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad w_{i\cdot} = \mathrm{sparsemax}(s_{i\cdot}), \qquad
      s_{ij} = \mathrm{scale}\,\langle q_i, k_j\rangle + \mathrm{bias}_{ij}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
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
        With `return_weights` only: rows sum to 1, or to 0 where nothing is visible; many entries are exactly 0.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`.

    Notes
    -----
    Cost: m n (d + e) multiplications and a sort per row. An engine finds the threshold over streamed scores.

    `entmax_attention` with alpha 2 is the same. A best score ahead of all others by 1 takes the whole weight.

    References
    ----------
    Martins & Astudillo, "From Softmax to Sparsemax", 2016, arXiv 1602.02068.

    Examples
    --------
    >>> import numpy as np
    >>> key = np.array([[1.0], [0.6], [-1.0]])
    >>> sparsemax_attention(np.array([[1.0]]), key, np.eye(3))
    array([[0.7, 0.3, 0. ]])
    """
    visible = visible_pairs(query, key, mask, causal)
    scores = dot_scores(query, key, scale, bias)  # (..., m, n)
    weights = sparsemax_weights(scores, visible)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
