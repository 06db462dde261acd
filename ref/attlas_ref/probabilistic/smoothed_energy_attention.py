r"""Smoothed energy guidance (SEG): attention that has been made nearsighted.

A diffusion model is guided by showing it what a worse model would do, and going the other way (`attention_guidance`).
The worse model must be worse in the right manner. SEG flattens the energy landscape of its self-attention
(`attention_energy`): the sharper the valleys, the more the layer insists on one detail.

Flattening the landscape means blurring the scores along the queries, over the picture. The scores are linear in the
queries, so it is enough to blur these:

$$G * (Q K^\top) = (G * Q) K^\top,$$

which costs no second map of n × n. It is the scores that are blurred, not the weights: the softmax comes after. As
$\sigma \to \infty$ every query becomes the mean of all (`sigma=inf`), and every row of weights the same one. The energy
is concave in the query, so by Jensen's inequality that of the mean is at least the mean of all.

The queries stand on a grid of `height` by `width`, row by row.
"""

import math

import numpy as np

from ..contract import AttentionResult, formula, reference
from ..dotproduct.softmax_attention import softmax_attention
from ..visibility import Reals
from .gaussian_blur_2d import gaussian_blur_2d


@reference
def smoothed_energy_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    sigma: float,
    height: int,
    width: int,
    kernel_size: int | None = None,
    scale: float | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Softmax attention with queries that are blurred over a grid.

    $$\mathrm{out} = \mathrm{softmax}(\mathrm{scale}\, (G_\sigma * Q) K^\top) V$$

    Parameters
    ----------
    query : (..., n, d) real array
        One row per pixel, row by row.
    key : (..., n, d) real array
        One row per pixel.
    value : (..., n, e) real array
        One row per pixel.
    sigma : float
        Width of the blur, in pixels, above 0; infinity replaces each query by the mean of all.
    height, width : int
        Of the grid; height · width = n.
    kernel_size : int, optional
        Number of taps, odd, as in `gaussian_blur_2d`; the odd number from $\lceil 6 \sigma \rceil$ upwards if not
        given.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., n, e) array
    weights : (..., n, n) array
        With `return_weights` only: rows sum to 1.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, `height` times `width` is not n, or `sigma` or `kernel_size` is out of range.
    TypeError
        If an array is complex, an object or text, or a size is not whole.

    Notes
    -----
    Cost: 2 n K d multiplications for K taps, and those of `softmax_attention`.

    Neighbors: with one tap this is `softmax_attention`. `identity_attention` is the perturbed branch of another
    guidance, `sag_degrade` of a third.

    References
    ----------
    Hong, "Smoothed Energy Guidance", 2024, arXiv 2408.00760.

    Examples
    --------
    Four pixels, two by two, and what the first one sees. The blur mixes neighbors, and in the end all are one:

    >>> import numpy as np
    >>> pixels = 3 * np.eye(4)
    >>> for sigma in (0.3, 0.8, np.inf):
    ...     of_blur = {"sigma": sigma, "height": 2, "width": 2, "return_weights": True}
    ...     print(smoothed_energy_attention(pixels, pixels, pixels, **of_blur).weights[0].round(2))
    [0.96 0.01 0.01 0.01]
    [0.28 0.25 0.25 0.23]
    [0.25 0.25 0.25 0.25]
    """
    n, d = query.shape[-2:]
    if sigma == math.inf:
        blurred = np.broadcast_to(query.mean(axis=-2, keepdims=True), query.shape)
    else:
        taps = math.ceil(6 * sigma)
        kernel_size = taps + 1 - taps % 2 if kernel_size is None else kernel_size
        grid = np.moveaxis(query.reshape(*query.shape[:-2], height, width, d), -1, -3)  # (..., d, height, width)
        grid = formula(gaussian_blur_2d)(grid, kernel_size=kernel_size, sigma=sigma)
        blurred = np.moveaxis(grid, -3, -1).reshape(*query.shape[:-2], n, d)
    return formula(softmax_attention)(blurred, key, value, scale=scale, return_weights=return_weights)
