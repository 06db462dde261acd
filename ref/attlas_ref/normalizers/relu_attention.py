r"""Attention by rectified scores.

The cheapest non-negative weight is $\max(s, 0)$: no exponential, and exact zeros for every key with a negative score.
Without a normalizer the output would grow with the number of keys; dividing by that number, $n$ (a constant, not a
statistic of the row), was found to let vision transformers train as with a softmax.

`normalize="sum"` divides by the row's own sum instead and gives weighted means; a row without any positive score then
has nothing to divide and yields zeros.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def relu_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    length_power: float = 1.0,
    squared: bool = False,
    normalize: str | None = "length",
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Sum of the values, each weighted by the positive part of its score.

    $$\mathrm{out}_i = \sum_{j \in V(i)} \frac{a_{ij}}{N_i} v_j, \qquad a_{ij} = \max(s_{ij}, 0)^r, \qquad
      N_i = n^{\mathrm{length\_power}},\ \sum_{l \in V(i)} a_{il}\ \text{or}\ 1$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    length_power : float, default 1
        The power of n to divide by with `normalize="length"`; n is the number of keys, visible or not.
    squared : bool, default False
        Square the positive part: r = 2 instead of 1.
    normalize : {"length", "sum", None}, default "length"
        What to divide by: a power of n, the row's sum, nothing.
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
        Zeros for a query whose visible scores are all <= 0, or that sees no key.
    weights : (..., m, n) array
        With `return_weights` only: never negative, exactly 0 for scores <= 0.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`; ValueError for an unknown `normalize`.

    Notes
    -----
    Cost: m n (d + e) multiplications in a single pass.

    Without bias, and unless `normalize="sum"`, the output is homogeneous in `scale`: of degree 1, or 2 if squared.

    References
    ----------
    Wortsman et al., "Replacing softmax with ReLU in Vision Transformers", 2023, arXiv 2309.08586.
    Guo et al., "Active-Dormant Attention Heads", 2024, arXiv 2410.13835 (whose exact normalization is not known to us).

    Examples
    --------
    The key on the far side is ignored:

    >>> import numpy as np
    >>> key = np.array([[1.0], [-1.0]])
    >>> relu_attention(np.array([[3.0]]), key, np.eye(2), normalize=None)
    array([[3., 0.]])
    """
    n = key.shape[-2]
    visible = visible_pairs(query, key, mask, causal)
    scores = dot_scores(query, key, scale, bias)  # (..., m, n)
    weights = np.where(visible, np.maximum(scores, 0), 0)
    if squared:
        weights = weights**2
    if normalize == "length":
        weights = weights / float(max(n, 1)) ** length_power
    elif normalize == "sum":
        total = weights.sum(axis=-1, keepdims=True)  # (..., m, 1)
        # Hidden pairs stay 0 also where a visible NaN has reached the total.
        weights = np.where(visible, weights / np.where(total == 0, 1, total), 0)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
