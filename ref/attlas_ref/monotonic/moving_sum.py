r"""Sums over a window that moves along.

$$y_j = \sum_{l = j - \mathrm{back} + 1}^{j + \mathrm{forward} - 1} x_l ,$$

zero outside of the sequence: `back` entries up to and with j, `forward` entries from j on, j itself counted once. With
`back=w, forward=1` it sums the chunk that ends at j, with `back=1, forward=w` the one that begins there. These two are
what chunkwise attention (`mocha_weights`) is made of in its fast form, and each is the transpose of the other.

**What to watch for.** The difference of two prefix sums gives each window in two operations, and loses small numbers
beside large ones that have long left the window: after 1e17 a window of ones would sum to 0. Here each window is summed
by itself.
"""

import numpy as np

from ..contract import reference
from ..visibility import Reals


@reference
def moving_sum(x: Reals, *, back: int, forward: int) -> Reals:
    r"""Sum each entry with some before it and some after it.

    $$y_j = \sum_{l = j - \mathrm{back} + 1}^{j + \mathrm{forward} - 1} x_l$$

    Parameters
    ----------
    x : (..., n) real array
        What is summed, zero outside.
    back : int
        How many entries up to and with j, at least 1.
    forward : int
        How many entries from j on, at least 1.

    Returns
    -------
    (..., n) array

    Raises
    ------
    ValueError
        If `back` or `forward` is below 1.
    TypeError
        If `x` is complex, an object or text, or a width is not whole.

    Notes
    -----
    Cost: n (back + forward - 2) additions; sums of 2, 4, 8, ... neighbors give each window in O(log) additions without
    cancellation.

    With `back=forward=1` it is the identity. Gradients: `moving_sum(grad_output, back=forward, forward=back)`.

    References
    ----------
    Chiu & Raffel, "Monotonic Chunkwise Attention", 2018, arXiv 1712.05382, eq. (21).

    Examples
    --------
    >>> import numpy as np
    >>> moving_sum(np.array([1, 10, 100, 1000]), back=2, forward=1).astype(int)
    array([   1,   11,  110, 1100])
    >>> moving_sum(np.array([1, 10, 100, 1000]), back=1, forward=3).astype(int)
    array([ 111, 1110, 1100, 1000])
    """
    n = x.shape[-1]
    before, after = (max(min(width, n) - 1, 0) for width in (back, forward))  # a window sees n entries at most
    outside = [np.zeros((*x.shape[:-1], width), dtype=x.dtype) for width in (before, after)]
    padded = np.concatenate([outside[0], x, outside[1]], axis=-1)
    total = np.zeros_like(x)
    for start in range(before + 1 + after):
        total = total + padded[..., start : start + n]
    return total
