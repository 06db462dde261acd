r"""Attention interpolation: between two images, inside or outside the attention.

A diffusion model can be led from one image to another by mixing what a query sees in both. *Outer* interpolation mixes
the two outputs; *inner* interpolation mixes the keys and the values and attends once. With the query's own keys
appended ("fused") it stays with what it is about.
"""

from typing import Any

import numpy as np

from ..contract import formula, reference
from ..dotproduct.softmax_attention import softmax_attention
from ..visibility import Reals


@reference
def interpolated_attention(
    query: Reals,
    key_start: Reals,
    value_start: Reals,
    key_end: Reals,
    value_end: Reals,
    *,
    t: float,
    mode: str = "outer",
    key: Reals | None = None,
    value: Reals | None = None,
    scale: float | None = None,
) -> Reals:
    r"""Attend between two sources of keys and values.

    $$\text{outer: } (1 - t) A(K_s, V_s) + t A(K_e, V_e), \qquad
      \text{inner: } A\bigl((1 - t) K_s + t K_e,\ (1 - t) V_s + t V_e\bigr)$$

    with A the softmax attention of the query; a `key` and `value` of the query's own are appended in front of each.

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key_start, value_start : (..., n, d) and (..., n, e) real arrays
        What is seen at t = 0.
    key_end, value_end : (..., n, d) and (..., n, e) real arrays
        What is seen at t = 1.
    t : float
        Between 0 and 1.
    mode : {"outer", "inner"}, default "outer"
        Mix the outputs, or the keys and values.
    key, value : (..., p, d) and (..., p, e) real arrays, optional
        The query's own, given together.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.

    Returns
    -------
    (..., m, e) array

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`; ValueError if `t` lies outside 0 to 1 or only one of `key` and `value` is given.

    Notes
    -----
    Cost: two attentions (outer) or one (inner). The two modes agree where the keys are the same.

    References
    ----------
    He et al., "AID: Attention Interpolation of Text-to-Image Diffusion", 2024, arXiv 2403.17924.

    Examples
    --------
    >>> import numpy as np
    >>> q, k = np.zeros((1, 2)), np.zeros((1, 2))
    >>> interpolated_attention(q, k, np.array([[0.0]]), k, np.array([[8.0]]), t=0.25)
    array([[2.]])
    """

    def attend(keys: Reals, values: Reals) -> Reals:
        if key is not None and value is not None:
            keys, values = joined(key, keys), joined(value, values)
        output: Any = formula(softmax_attention)(query, keys, values, scale=scale)
        return output

    if mode == "inner":
        return attend((1 - t) * key_start + t * key_end, (1 - t) * value_start + t * value_end)
    return (1 - t) * attend(key_start, value_start) + t * attend(key_end, value_end)


def joined(first: Reals, second: Reals) -> Reals:
    """Return two arrays of rows one after the other; their leading axes broadcast."""
    leading = np.broadcast_shapes(first.shape[:-2], second.shape[:-2])
    return np.concatenate([np.broadcast_to(x, (*leading, *x.shape[-2:])) for x in (first, second)], axis=-2)
