r"""Relative cross attention: contents, and how far away they stand.

Transformer-XL replaced the places of tokens by the distances between them. Of a score between query i and key j it made
four terms: contents with contents, contents with the distance, and a bias for each of the two, which is the same for
all queries,

$$s_{ij} = \frac{(q_i + u) \cdot k_j + (q_i + v) \cdot r_{j - i} W}{\sqrt d},$$

with u = `content_bias`, v = `position_bias`, W = `w_position`. The distance t is encoded by sines and cosines of D / 2
frequencies, $r_{t,2k} = \sin(t \omega_k)$, $r_{t,2k+1} = \cos(t \omega_k)$, $\omega_k = 10{,}000^{-2k/D}$.

Between two sequences the distance is counted from i to j as if both began at the same place, or from i +
`query_offset`. It is the baseline of *Monotonic Location Attention*: it knows of places, and yet does not carry over to
longer sequences, since distances that were never seen have encodings that were never seen.

There are only m + n - 1 distances. Each is projected once, (m + n - 1, d), and multiplied with all queries; the score
of a pair is then looked up at its distance.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum

BASE = 10_000
"""The longest wave has about 2 π times as many keys."""


@reference
def relative_position_cross_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    w_position: Reals,
    content_bias: Reals,
    position_bias: Reals,
    query_offset: int = 0,
    mask: Booleans | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Softmax attention with learned scores of relative distance, in the form of Transformer-XL.

    $$\mathrm{out}_i = \sum_j \mathrm{softmax}_j(s_{ij})\, v_j, \qquad
      s_{ij} = \frac{(q_i + u) \cdot k_j + (q_i + v) \cdot r_{j - i - \mathrm{offset}} W}{\sqrt d}$$

    Heads are the last leading axis: query (..., H, m, d), parameters with H in front.

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    w_position : (..., D, d) real array
        W, from the encoding of a distance to the width of a head; D is even.
    content_bias, position_bias : (..., d) real arrays
        u and v.
    query_offset : int, default 0
        The place of the first query among the keys, at most 2^53 away: beyond, places are no longer told apart.
    mask : (..., m, n) boolean array, optional
        True = may attend.
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
    ValueError
        If shapes disagree, d is 0, or D is odd.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: m n (d + e) + m (m + n) d + (m + n) d D multiplications and m n exponentials.

    Neighbors: with `w_position=0` and biases of 0 this is `softmax_attention`. `monotonic_location_attention` carries a
    place from step to step instead.

    References
    ----------
    Dai et al., "Transformer-XL: Attentive Language Models Beyond a Fixed-Length Context", 2019, arXiv 1901.02860.
    Ray Chowdhury & Caragea, "Monotonic Location Attention for Length Generalization", 2023, arXiv 2305.20019.

    Examples
    --------
    Empty queries, and a bias that likes the cosine of the distance: the weight depends on j - i alone.

    >>> import numpy as np
    >>> nothing, none = np.zeros((4, 1)), np.zeros(1)
    >>> _, weights = relative_position_cross_attention(
    ...     nothing,
    ...     nothing,
    ...     nothing,
    ...     w_position=np.array([[0.0], [4.0]]),
    ...     content_bias=none,
    ...     position_bias=np.ones(1),
    ...     return_weights=True,
    ... )
    >>> weights.round(2)
    array([[0.86, 0.14, 0.  , 0.  ],
           [0.12, 0.76, 0.12, 0.  ],
           [0.  , 0.12, 0.76, 0.12],
           [0.  , 0.  , 0.14, 0.86]])
    """
    visible = visible_pairs(query, key, mask, causal=False)  # (..., m, n)
    m, n, d = query.shape[-2], key.shape[-2], query.shape[-1]
    distances = np.arange(1 - m, n) - query_offset  # (m + n - 1,): every j - i - offset
    projected = _encoded(distances, w_position.shape[-2]).astype(query.dtype) @ w_position  # (..., m + n - 1, d)
    by_distance = (query + position_bias[..., None, :]) @ projected.mT  # (..., m, m + n - 1)
    i, j = np.arange(m)[:, None], np.arange(n)
    by_position = by_distance[..., i, j - i + m - 1]  # (..., m, n)
    by_content = (query + content_bias[..., None, :]) @ key.mT
    weights = softmax_weights((by_content + by_position) / float(np.sqrt(d)), visible)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output


def _encoded(distances: Reals, width: int) -> Reals:
    """Return sines and cosines in turn, (len(distances), width)."""
    frequency = BASE ** (-np.arange(0, width, 2) / max(width, 1))  # (D / 2,)
    angle = distances[:, None] * frequency
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(len(distances), width)
