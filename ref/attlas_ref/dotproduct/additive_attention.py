r"""Additive attention, the first of all.

Before dot products, Bahdanau et al. scored a query and a key by a small neural network: project both, add, squash,
and project to a number,

$$s_{ij} = u \cdot \tanh(q_i W_q + k_j W_k + b).$$

Queries and keys may differ in width. The network is applied to every pair, but its first layer is linear: projecting
the m queries and the n keys once, and adding, saves the m n projections.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum
from .softmax_attention import softmax_weights


@reference
def additive_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    query_weight: Reals,
    key_weight: Reals,
    score_vector: Reals,
    score_bias: Reals | None = None,
    mask: Booleans | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention with a one-layer network as its score (Bahdanau).

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad w_{i\cdot} = \mathrm{softmax}(s_{i\cdot}), \qquad
      s_{ij} = \sum_a u_a \tanh\bigl((q_i W_q)_a + (k_j W_k)_a + b_a\bigr)$$

    Parameters
    ----------
    query : (..., m, p) real array
        One row per query.
    key : (..., n, r) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    query_weight : (p, a) real array
        $W_q$.
    key_weight : (r, a) real array
        $W_k$.
    score_vector : (a,) real array
        u.
    score_bias : (a,) real array, optional
        b; 0 if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.
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
        If shapes disagree or an array is not real.

    Notes
    -----
    Cost: (m p + n r) a for the projections, m n a hyperbolic tangents, m n e for the output. There is no factor
    $1/\sqrt d$: a score is at most $\lVert u \rVert_1$ in size. This reference holds an (m, n, a) array; an engine
    does not. `concat_attention` is the same with its two weights stacked.

    References
    ----------
    Bahdanau, Cho & Bengio, "Neural Machine Translation by Jointly Learning to Align and Translate", 2014,
    arXiv 1409.0473. Luong, Pham & Manning, 2015, arXiv 1508.04025, eq. (8).

    Examples
    --------
    The score need not be symmetric or linear: here it is high where query and key have opposite signs.

    >>> import numpy as np
    >>> weights = {"query_weight": np.array([[1.0, -1.0]]), "key_weight": np.array([[1.0, -1.0]])}
    >>> key = np.array([[-2.0], [2.0]])
    >>> out = additive_attention(
    ...     np.array([[2.0]]), key, key, score_vector=np.array([-5.0, 5.0]), **weights, score_bias=np.array([0.0, 0.0])
    ... )
    >>> out.round(2)
    array([[-2.]])
    """
    visible = visible_pairs(query, key, mask, causal)
    projected_query = query @ query_weight  # (..., m, a)
    projected_key = key @ key_weight  # (..., n, a)
    hidden = projected_query[..., :, None, :] + projected_key[..., None, :, :]  # (..., m, n, a)
    if score_bias is not None:
        hidden = hidden + score_bias
    scores = np.tanh(hidden) @ score_vector  # (..., m, n)
    weights = softmax_weights(scores, visible)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
