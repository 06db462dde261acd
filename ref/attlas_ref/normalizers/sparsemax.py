r"""The sparse softmax: Euclidean projection onto the simplex.

Both softmax and sparsemax turn scores into probabilities. Softmax never reaches 0; sparsemax returns the nearest
point of the simplex,

$$\mathrm{sparsemax}(x) = \arg\min_{p \ge 0,\ \sum p = 1} \lVert p - x \rVert^2 = [x - \tau]_+ ,$$

which lies on its boundary for most x: scores below the threshold get exactly 0. The threshold is fixed by the sum.
With the scores sorted in descending order, the support is the longest prefix whose own threshold lies below its last
score: $k^* = \max\{k : 1 + k x_{(k)} > \sum_{r \le k} x_{(r)}\}$ and
$\tau = (\sum_{r \le k^*} x_{(r)} - 1) / k^*$.

Everything is shifted by the maximum first, since adding a constant to all scores changes nothing.

The gradient is as simple: on the support it takes the mean away, off the support it is 0.
"""

import numpy as np

from ..contract import formula, reference
from ..visibility import Booleans, Reals


@reference
def sparsemax(scores: Reals, *, axis: int = -1, mask: Booleans | None = None) -> Reals:
    r"""Project scores onto the probability simplex: a softmax with exact zeros.

    $$p = [x - \tau]_+, \qquad \tau \text{ such that } \sum_j p_j = 1$$

    Parameters
    ----------
    scores : (..., n) real array
        Any real numbers.
    axis : int, default -1
        The axis that becomes a distribution.
    mask : boolean array of the shape of `scores`, optional
        False = weight 0. Anything that broadcasts to the shape will do.

    Returns
    -------
    array of the shape of `scores`
        Not negative; sums to 1 along `axis`, or to 0 where everything is masked.

    Raises
    ------
    ValueError
        If `axis` is out of range or `mask` does not broadcast.
    TypeError
        If `scores` is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: a sort, O(n log n) per row. Equals `entmax` with alpha 2. For two scores it is
    $\mathrm{clip}((1 + x_1 - x_2)/2, 0, 1)$. `sparsemax_vjp` is its gradient.

    References
    ----------
    Martins & Astudillo, "From Softmax to Sparsemax", 2016, arXiv 1602.02068.

    Examples
    --------
    >>> import numpy as np
    >>> sparsemax(np.array([1.5, 1.1, 0.2])).round(3)
    array([0.7, 0.3, 0. ])
    """
    visible = np.broadcast_to(True if mask is None else mask, scores.shape)
    p = sparsemax_weights(np.moveaxis(scores, axis, -1), np.moveaxis(visible, axis, -1))
    return np.moveaxis(p, -1, axis)


@reference
def sparsemax_vjp(scores: Reals, grad_output: Reals, *, axis: int = -1, mask: Booleans | None = None) -> Reals:
    r"""Gradient of sum(sparsemax(scores) * grad_output).

    $$dx_j = g_j - \frac{1}{|S|} \sum_{l \in S} g_l \quad (j \in S), \qquad dx_j = 0 \quad (j \notin S)$$

    with S the support, where $p_j > 0$.

    Parameters
    ----------
    scores : (..., n) real array
        Where the gradient is taken.
    grad_output : (..., n) real array
        g, the gradient with respect to the projection; of the shape of `scores`.
    axis : int, default -1
        The axis that became a distribution.
    mask : boolean array of the shape of `scores`, optional
        False = weight 0.

    Returns
    -------
    array of the shape of `scores`
        Sums to 0 along `axis`; exactly 0 off the support.

    Raises
    ------
    ValueError, TypeError
        As `sparsemax`; ValueError if the shapes of `scores` and `grad_output` differ.

    Notes
    -----
    Cost: that of `sparsemax`. Where the support is about to change (a score at the threshold) the projection has a
    kink and this is one of its one-sided derivatives.

    References
    ----------
    Martins & Astudillo, "From Softmax to Sparsemax", 2016, arXiv 1602.02068.

    Examples
    --------
    >>> import numpy as np
    >>> sparsemax_vjp(np.array([1.5, 1.1, 0.2]), np.array([1.0, 0.0, 5.0]))
    array([ 0.5, -0.5,  0. ])
    """
    supported = formula(sparsemax)(scores, axis=axis, mask=mask) > 0
    size = supported.sum(axis=axis, keepdims=True)
    mean = np.where(supported, grad_output, 0).sum(axis=axis, keepdims=True) / np.maximum(size, 1)
    return np.where(supported, grad_output - mean, 0)


def sparsemax_weights(scores: Reals, visible: Booleans) -> Reals:
    """Return the sparsemax of each row over its visible entries: exactly 0 elsewhere."""
    shifted = shifted_scores(scores, visible)  # (..., n)
    ordered = -np.sort(-shifted, axis=-1)
    # Only visible entries count: hidden ones are -inf and stand last.
    finite = np.where(ordered == -np.inf, 0, ordered)
    count = np.arange(1, ordered.shape[-1] + 1)
    supported = (ordered != -np.inf) & (1 + count * finite > np.cumsum(finite, axis=-1))  # (..., n)
    size = supported.sum(axis=-1, keepdims=True)  # k*, 0 where nothing is visible
    threshold = (np.where(supported, finite, 0).sum(axis=-1, keepdims=True) - 1) / np.maximum(size, 1)
    return np.where(visible, np.maximum(shifted - threshold, 0), 0)


def shifted_scores(scores: Reals, visible: Booleans) -> Reals:
    """Return the scores with their largest visible entry moved to 0, and hidden entries at -inf."""
    scores = np.where(visible, scores, -np.inf)
    maximum = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    return scores - np.where(maximum == -np.inf, 0, maximum)
