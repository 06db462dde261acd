r"""Softmax over cosine similarity.

A dot product grows with the lengths of query and key. Dividing both by their lengths leaves the angle:
$\langle \hat q, \hat k \rangle = \cos\angle(q, k)$, between -1 and 1. A fixed or learned scale then says how sharp the
softmax may become; no weight is more than $e^{2\,\mathrm{scale}}$ times another.
"""

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..norms import unit_length
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def cosine_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    eps: float = 1e-12,
    scale: float = 10.0,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention by the angle between query and key.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad
      w_{i\cdot} = \mathrm{softmax}\bigl(\mathrm{scale}\,\langle \hat q_i, \hat k_j\rangle + \mathrm{bias}_{ij}\bigr),
      \qquad \hat x = \frac{x}{\max(\lVert x \rVert, \mathrm{eps})}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    eps : float, default 1e-12
        Above 0: the length below which a vector counts as zero, in the unit of queries and keys.
    scale : float, default 10
        Factor of the cosines.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    bias : (..., m, n) real array, optional
        Added to the scaled cosines.
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
        As `softmax_attention`; ValueError if `eps` is not above 0.

    Notes
    -----
    Cost: that of `softmax_attention`, which it is on normalized vectors. Stretching a query or a key changes nothing.

    References
    ----------
    Henry et al., "Query-Key Normalization for Transformers", 2020, arXiv 2010.04245.

    Examples
    --------
    Length does not matter:

    >>> import numpy as np
    >>> key = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> short = cosine_attention(np.array([[0.1, 0.0]]), key, np.eye(2), scale=1.0)
    >>> long = cosine_attention(np.array([[9.0, 0.0]]), key, np.eye(2), scale=1.0)
    >>> short.round(3), bool(np.allclose(short, long))
    (array([[0.731, 0.269]]), True)
    """
    visible = visible_pairs(query, key, mask, causal)
    scores = dot_scores(unit_length(query, eps), unit_length(key, eps), scale, bias)  # (..., m, n)
    weights = softmax_weights(scores, visible)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
