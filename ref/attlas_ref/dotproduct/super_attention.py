r"""Super attention: mixing the positions of the values.

Lean attention with one more matrix, applied from the left: before they are read, the values are mixed *across
positions* by a learned alignment. The number of positions is then fixed.
"""

import numpy as np

from ..contract import formula, reference
from ..visibility import Booleans, Reals
from .lean_attention import lean_attention


@reference
def super_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    query_weight: Reals,
    alignment: Reals,
    output_weight: Reals,
    mask: Booleans | None = None,
    causal: bool = False,
) -> Reals:
    r"""Lean attention to values that were mixed across positions.

    $$\mathrm{out} = \mathrm{softmax}\Bigl(\frac{(Q W^Q) K^\top}{\sqrt D}\Bigr)\, (W^A V)\, W^O$$

    Parameters
    ----------
    query : (..., m, D) real array
        One row per query.
    key : (..., n, D) real array
        One row per key.
    value : (..., n, D) real array
        One row per key.
    query_weight : (D, D) real array
        $W^Q$.
    alignment : (n, n) real array
        $W^A$; row = where the mixture goes, column = where it comes from.
    output_weight : (D, D) real array
        $W^O$.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m; the upper part of `alignment` is then taken as 0, which is our rule.

    Returns
    -------
    (..., m, D) array
        Zeros for a query that sees no key.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`; ValueError if `alignment` is not (n, n).

    Notes
    -----
    Cost: that of `lean_attention` and n² D. A mask hides keys from queries; the alignment mixes all values, hidden ones
    too. With the identity it is `lean_attention`.

    References
    ----------
    Hosseini & Hosseini, "You Need to Pay Better Attention", 2024, arXiv 2403.01643.

    Examples
    --------
    An alignment that swaps two positions:

    >>> import numpy as np
    >>> x, swap = np.eye(2), np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> super_attention(x, x, x, query_weight=99 * np.eye(2), alignment=swap, output_weight=np.eye(2)).round(2)
    array([[0., 1.],
           [1., 0.]])
    """
    mixing = np.tril(alignment) if causal else alignment
    return formula(lean_attention)(
        query, key, mixing @ value, query_weight=query_weight, output_weight=output_weight, mask=mask, causal=causal
    )
