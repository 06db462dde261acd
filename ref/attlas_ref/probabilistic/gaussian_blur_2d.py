r"""A Gaussian blur of a map, one axis after the other.

Blurring takes from each pixel a mean of its neighborhood, weighted by a bell curve. The bell of two dimensions is a
product of two of one, $e^{-(s^2 + t^2)/2\sigma^2} = e^{-s^2/2\sigma^2}\, e^{-t^2/2\sigma^2}$, so that the rows are
blurred first and the columns then.

The kernel has `kernel_size` taps at the distances $t = -\frac{K-1}2, \dots, \frac{K-1}2$ and sums to 1,

$$k_t = \frac{e^{-t^2/2\sigma^2}}{\sum_{t'} e^{-t'^2/2\sigma^2}} .$$

Beyond the edge the map goes on as in a mirror that stands on the last pixel, so a constant map stays constant.

It is the blur of smoothed energy guidance, down to its convention for small maps: a kernel that is larger than the
width is cut to the width, or to one more where the width is even.
"""

import numpy as np

from ..contract import reference
from ..visibility import Reals


@reference
def gaussian_blur_2d(x: Reals, *, kernel_size: int, sigma: float) -> Reals:
    r"""Blur maps with a Gaussian kernel and mirrored edges.

    $$\mathrm{out}_{ab} = \sum_{s,t} k_s\, k_t\, x_{a+s,\, b+t}, \qquad k_t \propto e^{-t^2 / 2 \sigma^2}$$

    Parameters
    ----------
    x : (..., H, W) real array
        Maps.
    kernel_size : int
        Number of taps K, odd; at most W where that is odd, and W + 1 where it is even: more is cut.
    sigma : float
        Width of the bell, in pixels; above 0.

    Returns
    -------
    (..., H, W) array

    Raises
    ------
    ValueError
        If `kernel_size` is even or below 1, `sigma` is not above 0, or half the kernel reaches over the whole of an
        axis, where there is nothing left to mirror.
    TypeError
        If `x` is complex, an object or text, or `kernel_size` is not whole.

    Notes
    -----
    Cost: 2 H W K multiplications. Linear: its gradient is its transpose.

    Neighbors: `smoothed_energy_attention` blurs queries with it, `sag_degrade` images.

    References
    ----------
    Hong, "Smoothed Energy Guidance", 2024, arXiv 2408.00760.

    Examples
    --------
    >>> import numpy as np
    >>> point = np.zeros((3, 5))
    >>> point[1, 2] = 1
    >>> gaussian_blur_2d(point, kernel_size=3, sigma=1.0).round(2)
    array([[0.  , 0.15, 0.25, 0.15, 0.  ],
           [0.  , 0.12, 0.2 , 0.12, 0.  ],
           [0.  , 0.15, 0.25, 0.15, 0.  ]])
    """
    kernel_size = cut_kernel(kernel_size, x.shape[-1])
    t = np.linspace(-(kernel_size - 1) / 2, (kernel_size - 1) / 2, kernel_size)
    kernel = np.exp(-((t / sigma) ** 2) / 2)
    kernel = (kernel / kernel.sum()).astype(x.dtype)
    for axis in (-1, -2):
        x = blurred_along(x, axis, kernel)
    return x


def cut_kernel(kernel_size: int, width: int) -> int:
    """Return the number of taps that fit a map: at most its width, or one more where that is even."""
    return min(kernel_size, width - (width % 2 - 1))


def blurred_along(x: Reals, axis: int, kernel: Reals) -> Reals:
    """Return the sum of the map, mirrored at its edges and moved by each tap."""
    size, half = x.shape[axis], len(kernel) // 2
    around = [(0, 0)] * x.ndim
    around[axis] = (half, half)
    mirrored = np.moveaxis(np.pad(x, around, mode="reflect"), axis, -1)
    moved = sum(kernel[t] * mirrored[..., t : t + size] for t in range(len(kernel)))
    return np.moveaxis(moved, -1, axis)
