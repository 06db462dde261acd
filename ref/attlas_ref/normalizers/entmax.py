r"""Entmax: the family that runs from softmax to sparsemax and on to argmax.

Softmax maximizes $p \cdot x$ plus Shannon's entropy, sparsemax the same with Gini's. Tsallis' entropies

$$H_\alpha(p) = \frac{1}{\alpha(\alpha - 1)} \sum_j (p_j - p_j^\alpha)$$

connect the two ($\alpha \to 1$ and $\alpha = 2$), and their maximizer is

$$p_j = \bigl[(\alpha - 1) x_j - \tau\bigr]_+^{1/(\alpha - 1)}, \qquad \sum_j p_j = 1 .$$

For $\alpha > 1$ low scores get exactly 0, the more the larger $\alpha$. Only the threshold $\tau$ has to be found:

- $\alpha = 1.5$: with $y = x/2$ sorted in descending order, the first k entries alone would give a quadratic equation,
  $\tau_k = \mathrm{mean}_k - \sqrt{(1 - ss_k)/k}$, where $ss_k$ is k times their variance; the support is as long as
  $\tau_k \le y_{(k)}$ holds.
- $\alpha = 2$: `sparsemax`.
- otherwise by bisection: the sum falls as $\tau$ grows, from at least 1 at $\max - 1$ to at most 1 at
  $\max - n^{1 - \alpha}$.
"""

import numpy as np

from ..contract import formula, reference
from ..visibility import Booleans, Reals
from .sparsemax import shifted_scores, sparsemax_weights


@reference
def entmax(
    scores: Reals,
    *,
    alpha: float = 1.5,
    axis: int = -1,
    mask: Booleans | None = None,
    method: str = "auto",
    iterations: int = 60,
) -> Reals:
    r"""Turn scores into probabilities, sparser than a softmax for alpha above 1.

    $$p = \arg\max_{p \in \Delta} \; p \cdot x + H_\alpha(p), \qquad
      p_j = \bigl[(\alpha - 1) x_j - \tau\bigr]_+^{1/(\alpha - 1)}$$

    Parameters
    ----------
    scores : (..., n) real array
        Any real numbers.
    alpha : float, default 1.5
        At least 1: 1 is the softmax, 2 is `sparsemax`, large values approach the argmax.
    axis : int, default -1
        The axis that becomes a distribution.
    mask : boolean array of the shape of `scores`, optional
        False = weight 0. Anything that broadcasts to the shape will do.
    method : {"auto", "sort", "bisect"}, default "auto"
        How to find the threshold: exactly by sorting (alpha 1.5 and 2) or by bisection (any alpha above 1); "auto"
        takes the exact way where there is one.
    iterations : int, default 60
        How often bisection halves the interval of the threshold, at least 1.

    Returns
    -------
    array of the shape of `scores`
        Not negative; sums to 1 along `axis`, or to 0 where everything is masked.

    Raises
    ------
    ValueError
        If `alpha` is below 1, `method` is "sort" with another alpha than 1.5 or 2, or `axis` is out of range.
    TypeError
        If `scores` is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: O(n log n) per row by sorting, O(n iterations) by bisection. `entmax_vjp` is its gradient.

    References
    ----------
    Peters, Niculae & Martins, "Sparse Sequence-to-Sequence Models", 2019, arXiv 1905.05702.

    Examples
    --------
    The same scores, from dense to sparse:

    >>> import numpy as np
    >>> x = np.array([2.0, 1.0, 0.5, -1.0])
    >>> for alpha in (1.0, 1.5, 2.0):
    ...     print(entmax(x, alpha=alpha).round(3))
    [0.609 0.224 0.136 0.03 ]
    [0.815 0.162 0.023 0.   ]
    [1. 0. 0. 0.]
    """
    visible = np.broadcast_to(True if mask is None else mask, scores.shape)
    p = entmax_weights(np.moveaxis(scores, axis, -1), np.moveaxis(visible, axis, -1), alpha, method, iterations)
    return np.moveaxis(p, -1, axis)


@reference
def entmax_vjp(
    scores: Reals, grad_output: Reals, *, alpha: float = 1.5, axis: int = -1, mask: Booleans | None = None
) -> Reals:
    r"""Gradient of sum(entmax(scores) * grad_output).

    $$dx = u \odot \Bigl(g - \frac{u \cdot g}{\sum_j u_j}\Bigr), \qquad
      u_j = p_j^{2 - \alpha} \text{ on the support}, \quad 0 \text{ off it}$$

    Parameters
    ----------
    scores : (..., n) real array
        Where the gradient is taken.
    grad_output : (..., n) real array
        g, the gradient with respect to the probabilities; of the shape of `scores`.
    alpha : float, default 1.5
        At least 1.
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
        As `entmax`; ValueError if the shapes of `scores` and `grad_output` differ.

    Notes
    -----
    Cost: that of `entmax`. With alpha 1 it is the gradient of the softmax, p (g - p·g); with alpha 2 `sparsemax_vjp`.

    References
    ----------
    Peters, Niculae & Martins, "Sparse Sequence-to-Sequence Models", 2019, arXiv 1905.05702.

    Examples
    --------
    >>> import numpy as np
    >>> entmax_vjp(np.array([0.0, 0.0, -9.0]), np.array([1.0, 0.0, 5.0])).round(3)
    array([ 0.354, -0.354,  0.   ])
    """
    p = formula(entmax)(scores, alpha=alpha, axis=axis, mask=mask)
    supported = p > 0
    u = np.where(supported, np.where(supported, p, 1) ** (2 - alpha), 0)
    total = u.sum(axis=axis, keepdims=True)
    mean = np.where(supported, u * grad_output, 0).sum(axis=axis, keepdims=True) / np.where(total == 0, 1, total)
    return np.where(supported, u * (grad_output - mean), 0)


def entmax_weights(scores: Reals, visible: Booleans, alpha: float, method: str = "auto", iterations: int = 60) -> Reals:
    """Return the entmax of each row over its visible entries: exactly 0 elsewhere."""
    exact = method != "bisect"
    if alpha == 2 and exact:
        return sparsemax_weights(scores, visible)
    shifted = shifted_scores(scores, visible)  # (..., n), the largest is 0
    if alpha == 1:
        p = np.where(visible, np.exp(shifted), 0)
    elif alpha == 1.5 and exact:
        p = np.where(visible, np.maximum(shifted / 2 - _threshold_by_sorting(shifted / 2), 0) ** 2, 0)
    else:
        p = _by_bisection(shifted, visible, alpha, iterations)
    total = p.sum(axis=-1, keepdims=True)
    return np.where(visible, p / np.where(total == 0, 1, total), 0)


def _threshold_by_sorting(y: Reals) -> Reals:
    """Return tau for alpha 1.5, shape (..., 1); y is half the scores, hidden entries -inf."""
    ordered = -np.sort(-y, axis=-1)
    finite = np.where(ordered == -np.inf, 0, ordered)
    count = np.arange(1, y.shape[-1] + 1)
    mean = np.cumsum(finite, axis=-1) / count
    mean_of_squares = np.cumsum(finite**2, axis=-1) / count
    spread = count * (mean_of_squares - mean**2)  # ss_k
    threshold = mean - np.sqrt(np.maximum((1 - spread) / count, 0))  # tau_k
    supported = (ordered != -np.inf) & (threshold <= finite)
    size = supported.sum(axis=-1, keepdims=True)
    return np.take_along_axis(threshold, np.maximum(size - 1, 0), axis=-1) if y.shape[-1] else y.sum(-1, keepdims=True)


def _by_bisection(shifted: Reals, visible: Booleans, alpha: float, iterations: int) -> Reals:
    """Return p before its last division by the sum; the largest score is 0."""
    x = (alpha - 1) * shifted
    n = max(shifted.shape[-1], 1)
    low = np.full((*shifted.shape[:-1], 1), -1.0, dtype=shifted.dtype)
    high = np.full_like(low, -(float(n) ** (1 - alpha)))

    def power(threshold: Reals) -> Reals:
        return np.where(visible, np.maximum(x - threshold, 0) ** (1 / (alpha - 1)), 0)

    for _ in range(iterations):
        middle = (low + high) / 2
        too_much = power(middle).sum(axis=-1, keepdims=True) >= 1
        low, high = np.where(too_much, middle, low), np.where(too_much, high, middle)
    return power((low + high) / 2)
