r"""PLADIS: extrapolating from dense to sparse attention.

Cross-attention in a diffusion model grows sharper, and follows the prompt better, when one goes beyond the sparse
weights, away from the dense ones: a straight line through the softmax and the entmax of the same scores, at a point
past its end.
"""

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum
from .entmax import entmax_weights


@reference
def pladis_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    alpha: float = 1.5,
    strength: float = 2.0,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Weights on the line from softmax through entmax, usually beyond it.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad
      w = w^{\mathrm{soft}} + \mathrm{strength}\,(w^{\mathrm{sparse}} - w^{\mathrm{soft}})$$

    with $w^{\mathrm{soft}}$ the softmax and $w^{\mathrm{sparse}}$ the entmax of the same scores.

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    alpha : float, default 1.5
        At least 1; the alpha of the entmax.
    strength : float, default 2
        Where on the line: 0 is the softmax, 1 the entmax, above 1 beyond it.
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
    output : (..., m, e) array
        Zeros for a query that sees no key.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is visible. For strength above 1 a weight is
        negative where the sparse one is 0.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`; ValueError if `alpha` is below 1.

    Notes
    -----
    Cost: that of `softmax_attention` and `entmax_attention`, the scores once. Meant for inference.

    References
    ----------
    Kim & Sim, "PLADIS: Pushing the Limits of Attention in Diffusion Models at Inference Time by Leveraging Sparsity",
    2025, arXiv 2503.07677.

    Examples
    --------
    >>> import numpy as np
    >>> key = np.array([[2.0], [1.0], [-1.0]])
    >>> pladis_attention(np.array([[1.0]]), key, np.eye(3)).round(3)
    array([[ 0.956,  0.079, -0.035]])
    """
    visible = visible_pairs(query, key, mask, causal)
    scores = dot_scores(query, key, scale, bias)  # (..., m, n)
    dense = softmax_weights(scores, visible)
    sparse = entmax_weights(scores, visible, alpha)
    weights = dense + strength * (sparse - dense)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
