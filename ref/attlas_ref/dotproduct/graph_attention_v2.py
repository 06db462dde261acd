r"""Graph attention, second version: a dynamic score.

In GAT the leaky rectifier comes last, and every receiver ranks the senders alike. Moving it in front of the inner
product, $a \cdot \mathrm{LeakyReLU}(q_i + k_j)$, lets the ranking depend on the receiver.
"""

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum
from .graph_attention import leaky_relu
from .softmax_attention import softmax_weights


@reference
def graph_attention_v2(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    score_vector: Reals,
    mask: Booleans | None = None,
    negative_slope: float = 0.2,
    edge_bias: Reals | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention over the edges of a graph with a score that can rank senders differently for each receiver.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad w_{i\cdot} = \mathrm{softmax}(s_{i\cdot}), \qquad
      s_{ij} = a \cdot \mathrm{LeakyReLU}(q_i + k_j) + \mathrm{edge\_bias}_{ij}$$

    Parameters
    ----------
    query : (..., m, c) real array
        One row per receiver.
    key : (..., n, c) real array
        One row per sender.
    value : (..., n, e) real array
        What each sender sends. In the paper query, key and value are the same projected features.
    score_vector : (..., c) real array
        a; heads are leading axes.
    mask : (..., m, n) boolean array, optional
        True = receiver i hears sender j: the edges of the graph, self-loops included if wanted.
    negative_slope : float, default 0.2
        Slope of the rectifier below 0.
    edge_bias : (..., m, n) real array, optional
        Added to the score.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for an isolated node.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is visible.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree or `negative_slope` is not finite.

    Notes
    -----
    Cost: m n c for the scores, m n e for the output. This reference holds an (m, n, c) array; an engine does not. With
    `negative_slope=1` it is `graph_attention` with both vectors a and slope 1.

    References
    ----------
    Brody, Alon & Yahav, "How Attentive are Graph Attention Networks?", 2021, arXiv 2105.14491.

    Examples
    --------
    Each receiver prefers another sender, which no `graph_attention` can do:

    >>> import numpy as np
    >>> q = np.array([[3.0, -3.0], [-3.0, 3.0]])
    >>> k = np.array([[-3.0, 3.0], [3.0, -3.0]])
    >>> graph_attention_v2(q, k, np.eye(2), score_vector=-np.ones(2)).argmax(axis=-1)
    array([0, 1])
    """
    visible = visible_pairs(query, key, mask, causal=False)
    pair = leaky_relu(query[..., :, None, :] + key[..., None, :, :], negative_slope)  # (..., m, n, c)
    scores = (pair * score_vector[..., None, None, :]).sum(axis=-1)  # (..., m, n)
    if edge_bias is not None:
        scores = scores + edge_bias
    weights = softmax_weights(scores, visible)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
