r"""Attention without competition: a logistic function of each score.

A softmax makes the keys share a weight of 1. Here each key is judged alone: $w_{ij} = \sigma(s_{ij} + b)$, between 0
and 1, whatever the other keys say. A row may sum to anything from 0 to n; the offset $b = -\log n$ of the paper makes
it start near 1, since $\sigma(-\log n) = 1/(n + 1)$.

There is no row statistic: no maximum to track and nothing to divide by, so blocks of keys simply add up. The logistic
function is evaluated by `scipy.special.expit`, which overflows on neither side.
"""

import numpy as np
from scipy.special import expit

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def sigmoid_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    offset: float | None = None,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Sum of the values, each weighted by a logistic function of its own score.

    $$\mathrm{out}_i = \sum_{j \in V(i)} \sigma(s_{ij} + \mathrm{offset})\, v_j, \qquad
      s_{ij} = \mathrm{scale}\,\langle q_i, k_j\rangle + \mathrm{bias}_{ij}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    offset : float, optional
        Added to every score; $-\log n$ if not given, n being the number of keys, visible or not.
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
        With `return_weights` only: between 0 and 1, rows do not sum to 1.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`; ValueError for a non-finite `offset`.

    Notes
    -----
    Cost: m n (d + e) multiplications in a single pass.

    Dropping a key leaves the other weights as they are, once `offset` is fixed. With one key it equals
    `softmax_plus_n_attention` with `extra=exp(-offset)`.

    References
    ----------
    Ramapuram et al., "Theory, Analysis, and Best Practices for Sigmoid Self-Attention", 2024, arXiv 2409.04431,
    eq. (3).

    Examples
    --------
    Scores of 0 and the default offset weigh each of n keys by 1/(n + 1):

    >>> import numpy as np
    >>> sigmoid_attention(np.zeros((1, 2)), np.zeros((3, 2)), np.ones((3, 1)))
    array([[0.75]])
    """
    n = key.shape[-2]
    offset = -float(np.log(max(n, 1))) if offset is None else offset
    visible = visible_pairs(query, key, mask, causal)
    scores = dot_scores(query, key, scale, bias)  # (..., m, n)
    weights = np.where(visible, expit(scores + offset), 0)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
