r"""Collapsed attention: one matrix in place of query and key weights.

Queries and keys enter a score only through the product of their projections, $x W^Q W^{K\top} y^\top$. So one matrix
$W = W^Q W^{K\top}$ does the work of two; and if the value projection is merged into what follows, the layer reads its
inputs directly.
"""

from ..contract import AttentionResult, formula, reference
from ..visibility import Booleans, Reals
from .softmax_attention import softmax_attention


@reference
def collapsed_attention(
    inputs: Reals,
    context: Reals | None = None,
    *,
    weight: Reals,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Softmax attention with a single weight matrix.

    $$\mathrm{out} = \mathrm{softmax}\bigl(\mathrm{scale}\; X W Y^\top + \mathrm{bias}\bigr)\, Y$$

    Parameters
    ----------
    inputs : (..., m, d) real array
        X, one row per token.
    context : (..., n, d) real array, optional
        Y; `inputs` if not given.
    weight : (d, d) real array
        W.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    bias : (..., m, n) real array, optional
        Added to the scaled scores.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, d) array
        Zeros for a token that sees none.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is visible.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`; ValueError if `weight` is not square of width d.

    Notes
    -----
    Cost: one projection and that of `softmax_attention`, which it is with $W = I$. The exact parametrization of the
    paper could not be verified.

    References
    ----------
    Bermeitinger et al., "Reducing the Transformer Architecture to a Minimum", 2024, arXiv 2410.13732.

    Examples
    --------
    >>> import numpy as np
    >>> collapsed_attention(np.array([[0.0], [2.0]]), weight=np.zeros((1, 1)))
    array([[1.],
           [1.]])
    """
    context = inputs if context is None else context
    return formula(softmax_attention)(
        inputs @ weight,
        context,
        context,
        scale=scale,
        mask=mask,
        bias=bias,
        causal=causal,
        return_weights=return_weights,
    )
