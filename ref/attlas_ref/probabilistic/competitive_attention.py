r"""Competitive attention: the queries bid for every key, then each takes the mean of what it won.

In softmax attention each query reads what it likes, and all may like the same. Slots that are to stand for different
objects must share the input out among themselves instead. So the softmax runs over the *queries*: key j is divided
among them,

$$a_{ij} = \frac{e^{s_{ij}}}{\sum_l e^{s_{lj}}}, \qquad \sum_i a_{ij} = 1,$$

and then each query takes the weighted mean of the values of its keys,

$$w_{ij} = \frac{a_{ij} + \mathrm{eps}}{\sum_l (a_{il} + \mathrm{eps})}, \qquad \mathrm{out}_i = \sum_j w_{ij} v_j.$$

The first step is the E-step of a mixture (which component does a point belong to?), the second the M-step for its
means. With Gaussian scores it is soft k-means; `slot_attention` repeats it with learned maps in between.

`eps` is the paper's, where it keeps a query that won nothing from dividing by zero: it reads the mean of all keys that
it may see. A pair that the mask hides has neither a share nor an `eps`. With `eps=0` a query whose shares have all
underflowed reads zeros.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def competitive_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    eps: float = 1e-8,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention for which the queries compete: a softmax over the queries, then a mean over the keys.

    $$\mathrm{out}_i = \sum_j w_{ij} v_j, \qquad w_{ij} = \frac{a_{ij} + \mathrm{eps}}{\sum_l (a_{il} + \mathrm{eps})},
      \qquad a_{ij} = \frac{e^{s_{ij}}}{\sum_l e^{s_{lj}}}, \qquad
      s_{ij} = \mathrm{scale}\,\langle q_i, k_j\rangle + \mathrm{bias}_{ij}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per competitor, such as a slot.
    key : (..., n, d) real array
        One row per input that is shared out.
    value : (..., n, e) real array
        One row per input.
    eps : float, default 1e-8
        At least 0: added to the shares before they are normalized.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    bias : (..., m, n) real array, optional
        Added to the scaled scores.
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
        As `softmax_attention`; ValueError if `eps` is negative.

    Notes
    -----
    Cost: two passes of m n d multiplications, one for the statistics of the keys, and m n e.

    Queries know of each other: one NaN among them reaches all who compete for the same keys. With eps 0 it is
    `reversed_attention` with `renormalize`; `sinkhorn_attention` alternates the two normalizations until both hold.

    References
    ----------
    Locatello et al., "Object-Centric Learning with Slot Attention", 2020, arXiv 2006.15055, algorithm 1.

    Examples
    --------
    Both queries like the first key better, but the second likes it more. The first gets what is left:

    >>> import numpy as np
    >>> query, key = np.array([[1.0], [4.0]]), np.array([[2.0], [0.0]])
    >>> competitive_attention(query, key, np.eye(2)).round(2)
    array([[0.  , 1.  ],
           [0.67, 0.33]])
    """
    visible = visible_pairs(query, key, mask, causal=False)
    scores = dot_scores(query, key, scale, bias)  # (..., m, n)
    shares = softmax_weights(scores.mT, visible.mT).mT  # a
    unnormalized = np.where(visible, shares + eps, 0)
    total = unnormalized.sum(axis=-1, keepdims=True)  # (..., m, 1)
    weights = np.where(visible, unnormalized / np.where(total == 0, 1, total), 0)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
