r"""Symmetric attention: query and key share one projection.

With $W = F F^\top$ the score of two tokens is the inner product of their images under one map F: the scores are
symmetric, every token suits itself best ($s_{ii} \ge 0$, $|s_{ij}| \le \sqrt{s_{ii} s_{jj}}$), and half of the
parameters are gone.
"""

import numpy as np

from ..contract import AttentionResult, formula, reference
from ..visibility import Booleans, Reals
from .softmax_attention import softmax_attention


@reference
def symmetric_attention(
    inputs: Reals,
    *,
    factor: Reals,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Self-attention with symmetric scores.

    $$\mathrm{out} = \mathrm{softmax}\bigl(\mathrm{scale}\; (X F)(X F)^\top + \mathrm{bias}\bigr)\, X$$

    Parameters
    ----------
    inputs : (..., n, d) real array
        X, one row per token.
    factor : (d, r) real array
        F.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., n, n) boolean array, optional
        True = may attend.
    bias : (..., n, n) real array, optional
        Added to the scaled scores.
    causal : bool, default False
        Let token i see token j iff j <= i.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., n, d) array
        Zeros for a token that sees none.
    weights : (..., n, n) array
        With `return_weights` only: rows sum to 1. The scores are symmetric, the weights are not.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`; ValueError if `factor` does not have d rows.

    Notes
    -----
    Cost: one projection and that of `softmax_attention`. It is `collapsed_attention` with $W = F F^\top$. The exact
    parametrization of the paper could not be verified.

    References
    ----------
    Bermeitinger et al., "Reducing the Transformer Architecture to a Minimum", 2024, arXiv 2410.13732.

    Examples
    --------
    >>> import numpy as np
    >>> symmetric_attention(np.array([[3.0], [-3.0]]), factor=np.array([[1.0]])).round(3)
    array([[ 3.],
           [-3.]])
    """
    projected = inputs @ factor  # (..., n, r)
    scale = 1 / float(np.sqrt(inputs.shape[-1])) if scale is None else scale
    return formula(softmax_attention)(
        projected,
        projected,
        inputs,
        scale=scale,
        mask=mask,
        bias=bias,
        causal=causal,
        return_weights=return_weights,
    )
