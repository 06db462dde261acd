r"""CoulGAT: graph attention screened like a Coulomb force.

The adjacency of a graph, raised elementwise to learned powers, plays the part of a potential that falls with distance.
Its softmax averages the neighbors' features; what comes out is compared with a learned vector per node, bent, and
normalized again.

Bias and score vectors belong to nodes, so the number of nodes is fixed.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Reals
from .graph_attention import leaky_relu
from .softmax_attention import softmax_weights


@reference
def coulomb_graph_attention(
    features: Reals,
    adjacency: Reals,
    *,
    weight: Reals,
    node_bias: Reals,
    score_matrix: Reals,
    power: Reals | None = None,
    negative_slope: float = 0.2,
    activation: str = "relu",
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Graph attention whose neighborhood is a softmax of powers of the adjacency.

    $$\mathrm{out} = \mathrm{act}(w Z), \quad Z = X W + b, \quad
      w_{i\cdot} = \mathrm{softmax}_j\,\mathrm{LeakyReLU}\bigl(a_i \cdot (P Z)_j\bigr), \quad
      P = \mathrm{softmax}_{\mathrm{rows}}(A^{\circ\,\mathrm{power}})$$

    Parameters
    ----------
    features : (..., n, f) real array
        X, one row per node.
    adjacency : (..., n, n) real array
        A; for instance inverse distances.
    weight : (f, c) real array
        W.
    node_bias : (n, c) real array
        b, one row per node.
    score_matrix : (n, c) real array
        a, one row per node.
    power : (n, n) real array, optional
        Exponents of the adjacency, entry by entry; 1 if not given.
    negative_slope : float, default 0.2
        Slope of the rectifier below 0.
    activation : {"relu", "identity"}, default "relu"
        act.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., n, c) array
    weights : (..., n, n) array
        With `return_weights` only: rows sum to 1.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree, a negative adjacency meets a power that is not whole, or a zero one a negative power.

    Notes
    -----
    Cost: O(n² (f + c)). With powers of 0 all neighbors weigh the same.

    References
    ----------
    Gokden, "CoulGAT: An Experiment on Interpretability of Graph Attention Networks", 2019, arXiv 1912.08409.

    Examples
    --------
    Without scores every node takes the mean of the features:

    >>> import numpy as np
    >>> x = np.array([[1.0], [5.0]])
    >>> coulomb_graph_attention(
    ...     x, np.eye(2), weight=np.eye(1), node_bias=np.zeros((2, 1)), score_matrix=np.zeros((2, 1))
    ... )
    array([[3.],
           [3.]])
    """
    everything = np.ones(adjacency.shape[-2:], dtype=bool)
    projected = features @ weight + node_bias  # Z, (..., n, c)
    potential = adjacency if power is None else adjacency**power
    gathered = softmax_weights(potential, everything) @ projected  # P Z, (..., n, c)
    scores = leaky_relu(score_matrix @ gathered.mT, negative_slope)  # (..., n, n)
    weights = softmax_weights(scores, everything)
    output = weights @ projected  # (..., n, c)
    output = np.maximum(output, 0) if activation == "relu" else output
    return AttentionResult(output, weights) if return_weights else output
