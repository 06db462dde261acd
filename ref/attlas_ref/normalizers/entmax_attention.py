r"""Attention with entmax: how sparse is a matter of one number.

The scores are those of softmax attention; each row of scores becomes weights by `entmax`. With alpha 1 every visible
key has a say, with 2 only those near the best (`sparsemax_attention`); 1.5 lies between and is a common choice.
"""

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum
from .entmax import entmax_weights


@reference
def entmax_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    alpha: float = 1.5,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention whose weights are the entmax of the scores.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad w_{i\cdot} = \alpha\text{-entmax}(s_{i\cdot}), \qquad
      s_{ij} = \mathrm{scale}\,\langle q_i, k_j\rangle + \mathrm{bias}_{ij}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    alpha : float, default 1.5
        At least 1: 1 is the softmax, 2 the sparsemax.
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
        With `return_weights` only: rows sum to 1, or to 0 where nothing is visible; exact zeros for alpha above 1.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`; ValueError if `alpha` is below 1.

    Notes
    -----
    Cost: m n (d + e) multiplications and a sort (alpha 1.5, 2) or 60 sweeps per row. An engine finds the threshold
    over streamed scores.

    Alpha 1 is `softmax_attention`, alpha 2 `sparsemax_attention`.

    References
    ----------
    Peters, Niculae & Martins, "Sparse Sequence-to-Sequence Models", 2019, arXiv 1905.05702.

    Examples
    --------
    >>> import numpy as np
    >>> key = np.array([[2.0], [1.0], [-1.0]])
    >>> entmax_attention(np.array([[1.0]]), key, np.eye(3)).round(3)
    array([[0.831, 0.169, 0.   ]])
    """
    visible = visible_pairs(query, key, mask, causal)
    scores = dot_scores(query, key, scale, bias)  # (..., m, n)
    weights = entmax_weights(scores, visible, alpha)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
