r"""Reversed attention: the keys choose their queries.

A softmax over the keys asks, for each query, where to read. A softmax over the *queries* asks, for each key, where to
send: every key (a child) hands its value out to the queries (its parents), and what it hands out sums to one. A gate
says how much of itself a key sends at all.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def reversed_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    sender_gate: Reals | None = None,
    renormalize: bool = False,
    eps: float = 1e-8,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention that is normalized over the queries: each key sends a weight of 1 (or of its gate).

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad
      w_{ij} = \mathrm{gate}_j\, \frac{e^{s_{ij}}}{\sum_{l : j \in V(l)} e^{s_{lj}}}$$

    and, with `renormalize`, $w_{ij} \leftarrow w_{ij} / \max(\sum_l |w_{il}|, \mathrm{eps})$.

    Parameters
    ----------
    query : (..., m, d) real array
        One row per receiver.
    key : (..., n, d) real array
        One row per sender.
    value : (..., n, e) real array
        What each sender sends.
    sender_gate : (..., n) real array, optional
        How much each sender sends; 1 if not given.
    renormalize : bool, default False
        Divide each receiver's weights by their sum, so that outputs are weighted means again.
    eps : float, default 1e-8
        Above 0: the smallest sum to divide by.
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
        Zeros for a receiver that sees no sender.
    weights : (..., m, n) array
        With `return_weights` only: columns sum to the gate unless `renormalize`; a sender that nobody sees sends 0.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`; ValueError if `eps` is not above 0.

    Notes
    -----
    Cost: two passes of m n d multiplications, one for the statistics of the columns, and m n e.

    The weights are the transpose of those of `softmax_attention` with queries and keys exchanged. Nothing is lost:
    the outputs sum to the gated values. The head selector and message controller of the paper make up `sender_gate`,
    which is our reading of it.

    References
    ----------
    Ding et al., "Visual Dependency Transformers: Dependency Tree Emerges from Reversed Attention", 2023,
    arXiv 2304.03282.

    Examples
    --------
    One receiver gets everything, whatever the scores:

    >>> import numpy as np
    >>> reversed_attention(np.ones((1, 1)), np.array([[3.0], [-5.0]]), np.array([[1.0], [10.0]]))
    array([[11.]])
    """
    visible = visible_pairs(query, key, mask, causal)
    scores = dot_scores(query, key, scale, bias)  # (..., m, n)
    weights = softmax_weights(scores.mT, visible.mT).mT
    if sender_gate is not None:
        weights = np.where(visible, weights * sender_gate[..., None, :], 0)
    if renormalize:
        total = np.abs(weights).sum(axis=-1, keepdims=True)  # (..., m, 1)
        weights = np.where(visible, weights / np.maximum(total, eps), 0)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
