r"""Lean attention: one head, no key and value weights.

In a single head the key weight can be absorbed by the query weight and the value weight by the output weight. Leaving
both out halves the parameters of a layer without losing anything it could express. (The paper calls it "Efficient
Attention"; that name belongs to another function here.)
"""

from ..contract import formula, reference
from ..visibility import Booleans, Reals
from .softmax_attention import softmax_attention


@reference
def lean_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    query_weight: Reals,
    output_weight: Reals,
    mask: Booleans | None = None,
    causal: bool = False,
) -> Reals:
    r"""Attention with a query and an output projection only.

    $$\mathrm{out} = \mathrm{softmax}\Bigl(\frac{(Q W^Q) K^\top}{\sqrt D}\Bigr)\, V\, W^O$$

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
    output_weight : (D, D) real array
        $W^O$.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.

    Returns
    -------
    (..., m, D) array
        Zeros for a query that sees no key.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`.

    Notes
    -----
    Cost: two projections and that of `softmax_attention`. `optimized_attention` with one head and a key weight of the
    identity is the same; `super_attention` adds a mixing of positions.

    References
    ----------
    Hosseini & Hosseini, "You Need to Pay Better Attention", 2024, arXiv 2403.01643.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> lean_attention(x, x, x, query_weight=np.zeros((2, 2)), output_weight=2 * np.eye(2))
    array([[1., 1.],
           [1., 1.]])
    """
    return formula(softmax_attention)(query @ query_weight, key, value, mask=mask, causal=causal) @ output_weight
