r"""Glimpses: read the set before pointing into it.

A pointer compares each element with the query by itself. Whether an element is the right one may depend on the others,
though: the largest number, the nearest city. A *glimpse* lets the query look at all of them first. It attends like a
pointer does, but then takes the mean of what it sees, and this mean is the query of the pointer, or of the next
glimpse:

$$p_{i\cdot} = \mathrm{softmax}_j\bigl(v \cdot \tanh(q_i W_q + b_q + k_j W_k + b_k)\bigr), \qquad
  q_i \leftarrow \sum_j p_{ij}\, r_j.$$

*Order Matters* calls this the process block: since a mean does not care for the order of its terms, the query has read
a set.

**Conventions that differ.** What is averaged, $r_j$, is the projected key $k_j W_k + b_k$ in the public code of pointer
networks for tours (`value="projected"`), and the key itself in the papers (`value="key"`). The glimpse has parameters
of its own, apart from those of the pointer; all glimpses share them.
"""

import numpy as np

from ..contract import formula, reference
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum
from .pointer_attention import pointer_attention


@reference
def pointer_glimpse(
    query: Reals,
    key: Reals,
    *,
    w_query: Reals,
    w_key: Reals,
    b_query: Reals | None = None,
    b_key: Reals | None = None,
    v: Reals,
    mask: Booleans | None = None,
    glimpses: int = 1,
    value: str = "projected",
) -> Reals:
    r"""Refine queries by what they see at a few glimpses.

    $$q_i \leftarrow \sum_{j \in V(i)} p_{ij} r_j, \qquad
      p_{i\cdot} = \mathrm{softmax}_{V(i)}\bigl(v \cdot \tanh(q_i W_q + b_q + k_j W_k + b_k)\bigr), \qquad
      r_j = k_j W_k + b_k \ \text{or}\ k_j$$

    Parameters
    ----------
    query : (..., m, d_q) real array
        States of a decoder, one per step.
    key : (..., n, d_k) real array
        Encodings of the positions.
    w_query : (d_q, a) real array
        $W_q$.
    w_key : (d_k, a) real array
        $W_k$.
    b_query : (a,) real array, optional
        $b_q$; 0 if not given.
    b_key : (a,) real array, optional
        $b_k$; 0 if not given.
    v : (a,) real array
        Weighs the hidden units.
    mask : (..., m, n) boolean array, optional
        True = may be seen.
    glimpses : int, default 1
        How often to look; 0 returns the query. Two or more need results as wide as the query.
    value : {"projected", "key"}, default "projected"
        What is averaged.

    Returns
    -------
    (..., m, a) array, or (..., m, d_k) with ``value="key"``
        The refined queries; zeros for a query that sees no position.

    Raises
    ------
    ValueError
        If shapes disagree, `glimpses` is negative, `value` is unknown, or the width of the result is not d_q with two
        or more glimpses.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: m n a hyperbolic tangents and m n a multiplications per glimpse.

    One glimpse at the keys is `additive_attention` with the keys as values.

    References
    ----------
    Vinyals, Bengio & Kudlur, "Order Matters: Sequence to Sequence for Sets", 2015, arXiv 1511.06391. Bello, Pham, Le,
    Norouzi & Bengio, "Neural Combinatorial Optimization with Reinforcement Learning", 2016, arXiv 1611.09940.

    Examples
    --------
    A query that prefers large numbers reads the largest of a set, whatever the order:

    >>> import numpy as np
    >>> one = np.ones((1, 1))
    >>> likes_large = {"w_query": 0 * one, "w_key": 0.1 * one, "v": np.array([50.0]), "value": "key"}
    >>> pointer_glimpse(np.array([[0.0]]), np.array([[3.0], [7.0], [5.0]]), **likes_large).round(2)
    array([[7.]])
    """
    visible = visible_pairs(query, key, mask, causal=False)
    projected = key @ w_key if b_key is None else key @ w_key + b_key  # (..., n, a)
    seen = projected if value == "projected" else key
    point = formula(pointer_attention)
    for _ in range(glimpses):
        p = point(query, key, w_query=w_query, w_key=w_key, b_query=b_query, b_key=b_key, v=v, mask=mask)
        query = weighted_sum(np.asanyarray(p), seen, visible)
    return query
