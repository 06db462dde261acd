r"""Cog attention: weights that may be negative.

A softmax can only add values up. Here the size of a score says how much a key counts and its sign whether its value is
added or taken away: $w_{ij} = \mathrm{sign}(s_{ij})\, p_{ij}$ with $p$ the softmax of $|s|$. One head can then copy one
token and delete another.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def cog_attention(
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
    r"""Softmax over the sizes of the scores, with their signs kept.

    $$\mathrm{out}_i = \sum_{j \in V(i)} \mathrm{sign}(s_{ij})\, p_{ij}\, v_j, \qquad
      p_{i\cdot} = \mathrm{softmax}(|s_{i\cdot}|), \qquad
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
        With `return_weights` only: between -1 and 1; their absolute values sum to 1, less what falls on scores of
        exactly 0.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`.

    Notes
    -----
    Cost: that of `softmax_attention`. The bias enters before the absolute value, which is our reading. Negating the
    queries negates the output when there is no bias; where all scores are positive it is `softmax_attention`. A
    bias of $-\infty$ hides nothing: its size is infinite. Use `mask`.

    References
    ----------
    Lv et al., "More Expressive Attention with Negative Weights", 2024, arXiv 2411.07176.

    Examples
    --------
    >>> import numpy as np
    >>> key = np.array([[2.0], [-2.0]])
    >>> cog_attention(np.array([[1.0]]), key, np.eye(2))
    array([[ 0.5, -0.5]])
    """
    visible = visible_pairs(query, key, mask, causal)
    scores = dot_scores(query, key, scale, bias)  # (..., m, n)
    weights = np.where(visible, np.sign(scores) * softmax_weights(np.abs(scores), visible), 0)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
