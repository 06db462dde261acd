r"""An encoding mixed with its own reversal, so that going forward can mean going back.

A decoder that only moves forward copies a sequence and cannot reverse it. Instead of a second direction of attention,
Ray Chowdhury and Caragea let the encoder offer the sequence in either order: a gate $g$ between 0 and 1, one per
sequence, mixes the encoding with its reversal,

$$\mathrm{out}_j = g\, x_j + (1 - g)\, x_{L - 1 - j}, \qquad j < L,$$

where L is the length of the sequence (`lengths`). Past it the reversal is 0. In the authors' code the gate is
$\sigma(5 (w \cdot h + b))$ of a summary h of the sequence, which is soon near 0 or 1.
"""

from typing import Any

import numpy as np

from ..contract import reference
from ..visibility import Reals


@reference
def bidirectional_encoding(encoded: Reals, gate: Reals, *, lengths: Any = None) -> Reals:
    r"""Mix a sequence with its reversal.

    $$\mathrm{out}_j = g\, x_j + (1 - g)\, [j < L]\, x_{L - 1 - j}$$

    Parameters
    ----------
    encoded : (..., n, d) real array
        x, one row per position.
    gate : (...) real array
        g, from 0 (reversed) to 1 (as it is).
    lengths : (...) integer array, optional
        L, at most n; n if not given.

    Returns
    -------
    (..., n, d) array

    Raises
    ------
    ValueError
        If shapes do not broadcast, a length is above n, or a gate is outside of [0, 1].
    TypeError
        If an array is complex, an object or text, or `lengths` are not whole.

    Notes
    -----
    Cost: 2 n d multiplications; the gradient is the same mixture of the gradient. With g = 1/2 nobody can tell the
    directions apart. The encoder before `monotonic_location_attention`.

    References
    ----------
    Ray Chowdhury & Caragea, "Monotonic Location Attention for Length Generalization", 2023, arXiv 2305.20019.

    Examples
    --------
    >>> import numpy as np
    >>> bidirectional_encoding(np.array([[1.0], [2.0], [3.0], [0.0]]), np.array([1.0, 0.0, 0.5]), lengths=3)[..., 0]
    array([[1., 2., 3., 0.],
           [3., 2., 1., 0.],
           [2., 2., 2., 0.]])
    """
    n = encoded.shape[-2]
    length = np.asarray(n if lengths is None else lengths)[..., None]  # (..., 1)
    source = length - 1 - np.arange(n)  # (..., n): where each position reads in reverse order
    leading = np.broadcast_shapes(encoded.shape[:-2], source.shape[:-1])
    whole = np.broadcast_to(encoded, (*leading, *encoded.shape[-2:]))
    source = np.broadcast_to(source, (*leading, n))
    turned = np.take_along_axis(whole, np.maximum(source, 0)[..., None], axis=-2)  # (..., n, d)
    turned = np.where(source[..., None] >= 0, turned, 0)
    share = gate[..., None, None]
    return share * encoded + (1 - share) * turned
