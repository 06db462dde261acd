r"""Attention by distance: a Gaussian kernel smoother.

Instead of a dot product, score a key by how near it is: $s_{ij} = -\mathrm{scale}\,\lVert q_i - k_j \rVert^2$. The
softmax of these scores is the Nadaraya–Watson estimator with a Gaussian kernel of variance $1/(2\,\mathrm{scale})$,
known since 1964; attention is what remains of it when the lengths of queries and keys no longer matter.

Expanding the square shows the kinship,

$$-\mathrm{scale}\,\lVert q_i - k_j \rVert^2 = 2\,\mathrm{scale}\,\langle q_i, k_j \rangle
  - \mathrm{scale}\,\lVert k_j \rVert^2 - \mathrm{scale}\,\lVert q_i \rVert^2 ,$$

where the last term is the same for all keys and cancels in the softmax. It also spares the (m, n, d) array of
differences. The price is cancellation: where queries and keys lie far from the origin compared with their distances,
subtract a common point from both first; distances do not notice.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum
from .softmax_attention import softmax_weights


@reference
def distance_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Softmax over negative squared distances: nearer keys weigh more.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad
      w_{i\cdot} = \mathrm{softmax}\bigl(-\mathrm{scale}\,\lVert q_i - k_j\rVert^2 + \mathrm{bias}_{ij}\bigr)$$

    Parameters
    ----------
    query : (..., m, d) real array
        One point per query.
    key : (..., n, d) real array
        One point per key, in the same space and unit.
    value : (..., n, e) real array
        What is known at each key.
    scale : float, optional
        At least 0, in inverse squared units of the points; $1/\sqrt d$ if not given. The kernel's standard deviation
        is $1/\sqrt{2\,\mathrm{scale}}$.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    bias : (..., m, n) real array, optional
        Added to the scores.
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
        As `softmax_attention`; ValueError for a negative `scale`.

    Notes
    -----
    Cost: m n (d + e) multiplications by the expansion above.

    Equals `softmax_attention` with `scale=2*scale` and `bias - scale*|k_j|²`. Moving all points by one vector changes
    nothing. As `scale` grows the output becomes the value of the nearest key; at 0 it is the mean.

    References
    ----------
    Nadaraya, "On Estimating Regression", Theory of Probability and Its Applications 9, 1964.

    Examples
    --------
    Smoothing a curve that is known at five points:

    >>> import numpy as np
    >>> x = np.linspace(0, 4, 5)[:, None]
    >>> distance_attention(np.array([[1.5]]), x, x**2, scale=2.0).round(2)
    array([[2.54]])
    """
    visible = visible_pairs(query, key, mask, causal)
    scale = 1 / float(np.sqrt(query.shape[-1])) if scale is None else scale
    square_query = (query**2).sum(axis=-1)[..., :, None]  # (..., m, 1)
    square_key = (key**2).sum(axis=-1)[..., None, :]  # (..., 1, n)
    scores = -scale * (square_query - 2 * (query @ key.mT) + square_key)  # (..., m, n)
    if bias is not None:
        scores = scores + bias
    weights = softmax_weights(scores, visible)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
