r"""Gaussian adaptive attention (GAAM): weights from where a number stands among its fellows.

No queries, no keys. Along one axis of a tensor the numbers have a mean and a spread, and each number is weighted by how
near it stands to some place in this distribution: at the mean, half a deviation above it, or wherever the learned
offsets say. The weights multiply the numbers; nothing is summed.

With $\mu$ the mean along the axis and $v$ the unbiased variance (plus eps), the density of a number x under G
Gaussians with mean offsets $\delta_i$ (`mean_offset`) and spreads $c_i$ (`spread`, in units of the deviation) is

$$g(x) = \prod_{i=1}^G \frac1{\sqrt{2 \pi c_i^2}} \exp\!\Big(\!-\frac{(x - \mu - \delta_i)^2}{2\, v\, c_i^2}\Big),
  \qquad w = \frac{g}{\max(\sum g, \mathrm{eps})}, \qquad \mathrm{out} = x \odot w .$$

The paper calls g a mixture, yet it is a product: one Gaussian with the precision $\sum_i 1/c_i^2$, up to a factor.
Heads cut the axis into pieces, each with a mean, a spread and parameters of its own.

Everything is computed from $\log g$, so that many Gaussians or far offsets leave a sum of numbers that are not all 0.
Only where the whole sum lies below eps do the weights of the formula itself fall short of 1.

**Padding.** What `mask` hides takes no part here (`padding="ignore"`). The published code reads padding as zeros when
it takes mean and variance, keeps the weight of what really stands there in the sum, and lets it pass unchanged
(`padding="reference"`).
"""

import math

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals


@reference
def gaussian_adaptive_attention(
    x: Reals,
    *,
    mean_offset: Reals,
    spread: Reals,
    axis: int = -1,
    heads: int = 1,
    eps: float = 1e-8,
    mask: Booleans | None = None,
    padding: str = "ignore",
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Weight each number by a product of Gaussians around the mean of its axis.

    $$\mathrm{out} = x \odot \frac{g}{\max(\sum g, \mathrm{eps})}, \qquad
      g = \prod_{i=1}^G \frac{1}{\sqrt{2\pi c_i^2}}\, e^{-(x - \mu - \delta_i)^2 / (2 v c_i^2)}$$

    Parameters
    ----------
    x : (..., n) real array
        Features.
    mean_offset : (heads, G) or (G,) real array
        $\delta_i$, added to the mean, in the unit of x; (G,) is the same for all heads.
    spread : (heads, G) or (G,) real array
        $c_i$, in units of the deviation; not 0.
    axis : int, default -1
        The axis along which numbers are weighed.
    heads : int, default 1
        Number of pieces of the axis, each of n // heads numbers; the last takes the rest, too.
    eps : float, default 1e-8
        Added to the variance, and the least sum that is divided by; above 0.
    mask : boolean array of the shape of `x`, optional
        False = padding. Anything that broadcasts to the shape will do.
    padding : "ignore" or "reference", default "ignore"
        Leave padding out, or treat it as the published code does.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : array of the shape of `x`
        Zeros at padding, or x itself with `padding="reference"`.
    weights : array of the shape of `x`
        With `return_weights` only: sum to 1 along each piece of the axis, or less where all densities are tiny.

    Raises
    ------
    ValueError
        If `axis` is out of range, a head has fewer than 2 numbers, `spread` holds a 0, or shapes disagree.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: G operations per number, and three sums along the axis.

    A single number that is not padding has variance 0 and stands at its own mean.

    References
    ----------
    Ioannides, Chadha & Elkins, "Gaussian Adaptive Attention is All You Need", 2024, arXiv 2401.11143.

    Examples
    --------
    Numbers near the mean, 3, get the most; an offset of one looks above it:

    >>> import numpy as np
    >>> x = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    >>> for offset in (0.0, 1.0):
    ...     of_offset = {"mean_offset": [offset], "spread": [0.5]}
    ...     print(gaussian_adaptive_attention(x, **of_offset, return_weights=True).weights.round(2))
    [0.02 0.23 0.51 0.23 0.02]
    [0.   0.02 0.23 0.52 0.23]
    """
    visible = np.broadcast_to(True if mask is None else mask, x.shape)
    x, visible = np.moveaxis(x, axis, -1), np.moveaxis(visible, axis, -1)
    size, n = x.shape[-1] // heads, x.shape[-1]
    weights = np.zeros_like(x)
    for h in range(heads):
        piece = slice(h * size, (h + 1) * size if h < heads - 1 else n)
        delta, c = (np.broadcast_to(p, (heads, p.shape[-1]))[h] for p in (mean_offset, spread))
        weights[..., piece] = gaussian_weights(x[..., piece], visible[..., piece], delta, c, eps, padding)
    output = np.where(visible, x * weights, 0 if padding == "ignore" else x)
    output, weights = np.moveaxis(output, -1, axis), np.moveaxis(weights, -1, axis)
    return AttentionResult(output, weights) if return_weights else output


def gaussian_weights(x: Reals, visible: Booleans, delta: Reals, c: Reals, eps: float, padding: str) -> Reals:
    """Return the weights along the last axis, (..., n), of one head."""
    seen = np.where(visible, x, 0)
    weighed = visible if padding == "ignore" else np.ones_like(visible)
    count = weighed.sum(axis=-1, keepdims=True, dtype=x.dtype)
    mean = seen.sum(axis=-1, keepdims=True) / np.maximum(count, 1)  # (..., 1)
    deviations = np.where(weighed, seen - mean, 0)
    variance = (deviations**2).sum(axis=-1, keepdims=True) / np.maximum(count - 1, 1) + eps
    log_density = np.zeros_like(x)
    for i in range(len(delta)):
        log_density = log_density - (x - mean - delta[i]) ** 2 / (2 * variance * c[i] ** 2)
        log_density = log_density - np.log(2 * np.pi * c[i] ** 2) / 2
    log_density = np.where(weighed, log_density, -np.inf)
    largest = log_density.max(axis=-1, keepdims=True, initial=-np.inf)
    largest = np.where(largest == -np.inf, 0, largest)
    log_sum = largest + np.log(np.exp(log_density - largest).sum(axis=-1, keepdims=True))
    return np.where(weighed, np.exp(log_density - np.maximum(log_sum, math.log(eps))), 0)
