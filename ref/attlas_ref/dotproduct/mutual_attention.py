r"""Mutual attention: two sequences read each other through one score matrix.

When image regions and words are to be fused, each side attends to the other. The scores are symmetric in their roles,
$s_{ij} = \mathrm{scale}\,\langle x_i, y_j\rangle$, so one matrix serves both directions: its rows are normalized for
the one, its columns for the other.
"""

import numpy as np

from ..contract import MutualResult, MutualResultWithWeights, reference
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum
from .softmax_attention import softmax_weights


@reference
def mutual_attention(
    first: Reals,
    second: Reals,
    first_value: Reals,
    second_value: Reals,
    *,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    return_weights: bool = False,
) -> MutualResult | MutualResultWithWeights:
    r"""Attention of two sequences to each other.

    $$\mathrm{first\_output} = \mathrm{softmax}_j(S)\, V^{(2)}, \qquad
      \mathrm{second\_output} = \mathrm{softmax}_i(S)^\top V^{(1)}, \qquad
      S = \mathrm{scale}\; X^{(1)} X^{(2)\top} + \mathrm{bias}$$

    Parameters
    ----------
    first : (..., m, d) real array
        One row per element of the first sequence.
    second : (..., n, d) real array
        One row per element of the second sequence.
    first_value : (..., m, e1) real array
        What the second sequence reads.
    second_value : (..., n, e2) real array
        What the first sequence reads.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., m, n) boolean array, optional
        True = the pair may see each other, in both directions.
    bias : (..., m, n) real array, optional
        Added to the scaled scores, in both directions.
    return_weights : bool, default False
        Return the weights of both directions too.

    Returns
    -------
    first_output : (..., m, e2) array
    second_output : (..., n, e1) array
        Zeros for an element that sees nothing.
    first_weights : (..., m, n) array
    second_weights : (..., n, m) array
        With `return_weights` only.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`.

    Notes
    -----
    Cost: the scores once, m n d, and m n (e1 + e2). Each direction is a `softmax_attention`, the second with mask and
    bias transposed. That the models which use it share one score matrix is our reading.

    References
    ----------
    Li et al., "GLIP: Grounded Language-Image Pre-training", 2021, arXiv 2112.03857.

    Examples
    --------
    >>> import numpy as np
    >>> both = mutual_attention(np.eye(2), np.eye(2)[:1], np.array([[1.0], [3.0]]), np.array([[5.0]]), scale=0.0)
    >>> both.first_output.ravel(), both.second_output.ravel()
    (array([5., 5.]), array([2.]))
    """
    visible = visible_pairs(first, second, mask, causal=False)
    scores = dot_scores(first, second, scale, bias)  # (..., m, n)
    first_weights = softmax_weights(scores, visible)
    second_weights = softmax_weights(scores.mT, visible.mT)  # (..., n, m)
    # Both results have all leading axes.
    leading = np.broadcast_shapes(scores.shape[:-2], first_value.shape[:-2], second_value.shape[:-2])
    first_value = np.broadcast_to(first_value, (*leading, *first_value.shape[-2:]))
    second_value = np.broadcast_to(second_value, (*leading, *second_value.shape[-2:]))
    outputs = (
        weighted_sum(first_weights, second_value, visible),
        weighted_sum(second_weights, first_value, visible.mT),
    )
    return (
        MutualResultWithWeights(*outputs, first_weights, second_weights) if return_weights else MutualResult(*outputs)
    )
