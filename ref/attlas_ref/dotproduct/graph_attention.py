r"""Graph attention (GAT).

Nodes of a graph attend to their neighbors. The score of an edge is a linear function of the two nodes, bent by a leaky
rectifier. Before the bend it is a sum of a term of the receiver and a term of the sender, so every receiver ranks the
senders in the same order: the attention is *static*. `graph_attention_v2` mends this by bending first.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum
from .softmax_attention import softmax_weights


@reference
def graph_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    query_vector: Reals,
    key_vector: Reals,
    mask: Booleans | None = None,
    negative_slope: float = 0.2,
    edge_bias: Reals | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention over the edges of a graph with a score that is linear in both nodes, then bent.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad w_{i\cdot} = \mathrm{softmax}(s_{i\cdot}), \qquad
      s_{ij} = \mathrm{LeakyReLU}(a_q \cdot q_i + a_k \cdot k_j + \mathrm{edge\_bias}_{ij})$$

    Parameters
    ----------
    query : (..., m, c) real array
        One row per receiver.
    key : (..., n, c) real array
        One row per sender.
    value : (..., n, e) real array
        What each sender sends. In the paper query, key and value are the same projected features.
    query_vector, key_vector : (..., c) real arrays
        $a_q$ and $a_k$; heads are leading axes.
    mask : (..., m, n) boolean array, optional
        True = receiver i hears sender j: the edges of the graph, self-loops included if wanted.
    negative_slope : float, default 0.2
        Slope of the rectifier below 0.
    edge_bias : (..., m, n) real array, optional
        Added before the rectifier.
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
    Cost: (m + n) c for the two projections, m n exponentials, m n e for the output.

    References
    ----------
    Veličković et al., "Graph Attention Networks", 2017, arXiv 1710.10903.

    Examples
    --------
    A path of three nodes; the middle one hears both ends:

    >>> import numpy as np
    >>> edges = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=bool)
    >>> x = np.array([[1.0], [2.0], [3.0]])
    >>> graph_attention(x, x, x, query_vector=np.zeros(1), key_vector=np.zeros(1), mask=edges).ravel()
    array([2., 2., 2.])
    """
    visible = visible_pairs(query, key, mask, causal=False)
    of_query = (query * query_vector[..., None, :]).sum(axis=-1)[..., :, None]  # (..., m, 1)
    of_key = (key * key_vector[..., None, :]).sum(axis=-1)[..., None, :]  # (..., 1, n)
    scores = of_query + of_key if edge_bias is None else of_query + of_key + edge_bias
    weights = softmax_weights(leaky_relu(scores, negative_slope), visible)  # (..., m, n)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output


def leaky_relu(x: Reals, negative_slope: float) -> Reals:
    """Return x where it is positive, and x times a slope elsewhere."""
    return np.where(x > 0, x, negative_slope * x)
