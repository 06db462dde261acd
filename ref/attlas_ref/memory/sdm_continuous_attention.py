r"""Sparse distributed memory on the sphere: weights by the overlap of two caps.

Kanerva's memory has bits for addresses; keys and queries of a network are real vectors. Scaled to unit length they are
points of a sphere, a Hamming ball becomes a cap, and the number of neurons that a query and a pattern share becomes the
area of the intersection of two caps:

$$\mathrm{out}_i = \sum_j w_{ij} v_j, \qquad w_{ij} = \frac{J(\cos(q_i, k_j))}{\sum_l J(\cos(q_i, k_l))},$$

with J from `sdm_cap_intersection`. The weights are computed as a softmax of the scores $\log J$, since areas in high
dimensions underflow. As with bits, $\log J$ is nearly a straight line in the cosine, so this is close to
`cosine_attention`; unlike a softmax it gives exactly nothing to keys whose cap does not meet that of the query, those
at an angle of $2 \arccos(\mathrm{cap\_cosine})$ or more.

A vector of length 0 has no direction: such a query sees nothing, and such a key is seen by nobody.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Reals, weighted_sum
from .sdm_cap_intersection import log_cap_intersection


@reference
def sdm_continuous_attention(
    query: Reals, key: Reals, value: Reals, *, cap_cosine: float, return_weights: bool = False
) -> Reals | AttentionResult:
    r"""Attention whose weights are areas that two caps of the sphere share.

    $$\mathrm{out}_i = \frac{\sum_j J(\cos(q_i, k_j))\, v_j}{\sum_j J(\cos(q_i, k_j))}$$

    Parameters
    ----------
    query : (..., m, d) real array
        Directions to read at; lengths do not matter.
    key : (..., n, d) real array
        Directions that were written to.
    value : (..., n, e) real array
        What was written there.
    cap_cosine : float
        Cosine of the angle within which reading and writing reach, at least 0 and below 1. A Hamming radius r of b
        bits corresponds to 1 - 2 r / b.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query out of reach of every key, and for one of length 0.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is in reach.

    Raises
    ------
    ValueError
        If shapes disagree, d is below 2, or `cap_cosine` lies outside [0, 1).
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: m n (d + e) multiplications and a quadrature per pair; an engine looks the areas up in a table over the angle.

    `sdm_attention` is the same for bits. With `cap_cosine=0` the weights are proportional to pi minus the angle, in
    every dimension.

    References
    ----------
    Bricken & Pehlevan, "Attention Approximates Sparse Distributed Memory", 2021, arXiv 2111.05498.

    Examples
    --------
    Keys at 0, 60 and 120 degrees from the query:

    >>> import numpy as np
    >>> angle = np.radians([0, 60, 120])
    >>> key = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)
    >>> sdm_continuous_attention(np.array([[5.0, 0, 0]]), key, np.eye(3), cap_cosine=0.0).round(3)
    array([[0.5  , 0.333, 0.167]])
    >>> sdm_continuous_attention(np.array([[5.0, 0, 0]]), key, np.eye(3), cap_cosine=0.5).round(3)
    array([[0.698, 0.302, 0.   ]])
    """
    directions = [x / np.where(length := _length(x), length, 1) for x in (query, key)]
    cosine = np.clip(directions[0] @ directions[1].mT, -1, 1)  # (..., m, n)
    scores = log_cap_intersection(cosine, query.shape[-1], cap_cosine)
    in_reach = ~(scores == -np.inf) & (_length(query) != 0) & (_length(key) != 0).mT
    weights = softmax_weights(scores, in_reach).astype(value.dtype)
    output = weighted_sum(weights, value, in_reach)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output


def _length(x: Reals) -> Reals:
    """Return the length of each row, (..., m, 1)."""
    return np.sqrt((x**2).sum(axis=-1, keepdims=True))
