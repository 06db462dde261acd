r"""Softmax attention within the segment of each query.

Cut the source into as many segments as there are outputs, and let every output read its own. Then nothing is read
twice and nothing is left out, which is how sound becomes words. The cuts come from a latent alignment: query i ends its
segment at $b_i$ = `boundaries`[i], and begins it where the one before has ended,

$$w_{ij} = \frac{e^{s_{ij}}}{\sum_l e^{s_{il}}}, \qquad b_{i-1} < j \le b_i, \qquad b_{-1} = -1 .$$

The right end is included. Within its segment a query attends by content; `windowed_soft_attention` does the same in a
window of fixed size, and windows overlap. A query whose boundary is that of the one before has an empty segment, and
reads zeros. With one query and the boundary at the last key it is `softmax_attention`; with a boundary at every key
each query copies one value.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def segmental_soft_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    boundaries: Reals,
    *,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Softmax attention to the keys between the last boundary and the own one.

    $$\mathrm{out}_i = \sum_{j \in S(i)} w_{ij} v_j, \qquad w_{i\cdot} = \mathrm{softmax}_{S(i)}(s_{i\cdot}), \qquad
      S(i) = \{j \in V(i) : b_{i-1} < j \le b_i\}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    boundaries : (..., m) integer array
        $b_i$: the last key of each query's segment, from 0; they never decrease, lie between -1 and n - 1, and -1 is an
        empty segment at the start.
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
        Zeros for a query whose segment is empty.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where the segment is empty.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, or boundaries decrease or leave their range.
    TypeError
        If an array is complex, an object or text, `boundaries` is not whole or `mask` is not boolean.

    Notes
    -----
    Cost: n (d + e) multiplications for an engine, since each key is read once; this reference scores all m n pairs.

    Neighbors: `windowed_soft_attention`, `softmax_attention`. `segmentation_attention` sums over segmentations that
    nobody has seen.

    References
    ----------
    Zeyer, Schlüter & Ney, "A Study of Latent Monotonic Attention Variants", 2021, arXiv 2103.16710.

    Examples
    --------
    Two segments and an empty one between, with equal scores:

    >>> import numpy as np
    >>> value = np.array([[10.0], [20.0], [30.0], [40.0]])
    >>> segmental_soft_attention(np.zeros((3, 1)), np.zeros((4, 1)), value, [2, 2, 3])
    array([[20.],
           [ 0.],
           [40.]])
    """
    j = np.arange(key.shape[-2])
    before = np.concatenate([np.full_like(boundaries[..., :1], -1), boundaries[..., :-1]], axis=-1)  # b_(i-1)
    segment = (before[..., None] < j) & (j <= boundaries[..., None])  # (..., m, n)
    visible = visible_pairs(query, key, mask, causal=False) & segment
    weights = softmax_weights(dot_scores(query, key, scale, bias), visible)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
