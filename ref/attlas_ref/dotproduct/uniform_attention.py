r"""Uniform attention: the mean over what is visible.

The attention that knows nothing: all scores equal. It is the zero point against which other attentions are judged, and
the first step of "deconstructing" attention: how much of a model survives when the weights do not depend on the input?
Causally it is the running mean.
"""

import numpy as np

from ..contract import reference
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum
from .softmax_attention import softmax_weights


@reference
def uniform_attention(
    value: Reals, *, m: int | None = None, mask: Booleans | None = None, causal: bool = False
) -> Reals:
    r"""Return the mean of the visible values for every query.

    $$\mathrm{out}_i = \frac{1}{|V(i)|} \sum_{j \in V(i)} v_j$$

    Parameters
    ----------
    value : (..., n, e) real array
        One row per key.
    m : int, optional
        Number of queries; n if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.

    Returns
    -------
    (..., m, e) array
        Zeros for a query that sees no key.

    Raises
    ------
    ValueError, TypeError
        If `m` is negative or `mask` does not broadcast.

    Notes
    -----
    Cost: O(m n e) here, O(n e) by prefix sums. It is `softmax_attention` with queries of zeros.

    References
    ----------
    Xue, Moosavi & Aletras, "Deconstructing Attention", 2025, arXiv 2510.11602.

    Examples
    --------
    >>> import numpy as np
    >>> uniform_attention(np.array([[1.0], [3.0], [8.0]]), causal=True)
    array([[1.],
           [2.],
           [4.]])
    """
    n = value.shape[-2]
    nothing = np.zeros((n if m is None else m, 1), dtype=value.dtype)
    visible = visible_pairs(nothing, value, mask, causal)
    weights = softmax_weights(np.zeros(visible.shape, dtype=value.dtype), visible)  # (..., m, n)
    return weighted_sum(weights, value, visible)
