r"""Neural attention: a feed-forward network as the score.

A dot product is one fixed way to compare. A small network over the concatenation of query and key can learn any; the
price is a hidden layer for each of the m n pairs, so queries and keys are projected to a few dimensions first.

The first layer is linear before its rectifier, so $[q; k] W_1 = q W_1^{(q)} + k W_1^{(k)}$ is formed from projections
that are made once per token.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum
from .softmax_attention import softmax_weights


@reference
def neural_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    weight1: Reals,
    bias1: Reals,
    weight3: Reals,
    bias3: float,
    weight2: Reals | None = None,
    bias2: Reals | None = None,
    mask: Booleans | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention with a network of one or two hidden layers as its score.

    $$s_{ij} = x_{ij} \cdot w_3 + b_3, \qquad
      x_{ij} = \mathrm{relu}\bigl(\mathrm{relu}([q_i; k_j] W_1 + b_1)\, W_2 + b_2\bigr)$$

    without the second layer if `weight2` is not given.

    Parameters
    ----------
    query : (..., m, p) real array
        One row per query, already projected down.
    key : (..., n, p) real array
        One row per key, already projected down.
    value : (..., n, e) real array
        One row per key.
    weight1 : (2p, h1) real array
        $W_1$; the rows of the query come first.
    bias1 : (h1,) real array
        $b_1$.
    weight3 : (h,) real array
        $w_3$; h is h2, or h1 without second layer.
    bias3 : float
        $b_3$; it cancels in the softmax.
    weight2 : (h1, h2) real array, optional
        $W_2$.
    bias2 : (h2,) real array, optional
        $b_2$, given with `weight2`.
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
        If shapes disagree or only one of `weight2` and `bias2` is given.

    Notes
    -----
    Cost: (m + n) p h1 + m n h1 h2. This reference holds an (m, n, h1) array; an engine does not.

    References
    ----------
    DiGiugno & Mahmood, "Neural Attention: A Novel Mechanism for Enhanced Expressive Power in Transformer Models", 2025,
    arXiv 2502.17206.

    Examples
    --------
    A score that is high where query and key are far apart:

    >>> import numpy as np
    >>> key = np.array([[0.0], [4.0]])
    >>> out = neural_attention(
    ...     np.array([[0.0]]),
    ...     key,
    ...     key,
    ...     weight1=np.array([[1.0, -1.0], [-1.0, 1.0]]),
    ...     bias1=np.zeros(2),
    ...     weight3=np.array([2.0, 2.0]),
    ...     bias3=0.0,
    ... )
    >>> out.round(2)
    array([[4.]])
    """
    visible = visible_pairs(query, key, mask, causal)
    p = query.shape[-1]
    of_query, of_key = query @ weight1[:p], key @ weight1[p:]  # (..., m, h1), (..., n, h1)
    hidden = np.maximum(of_query[..., :, None, :] + of_key[..., None, :, :] + bias1, 0)  # (..., m, n, h1)
    if weight2 is not None and bias2 is not None:
        hidden = np.maximum(hidden @ weight2 + bias2, 0)  # (..., m, n, h2)
    scores = hidden @ weight3 + bias3  # (..., m, n)
    weights = softmax_weights(scores, visible)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
