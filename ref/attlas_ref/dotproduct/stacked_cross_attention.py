r"""Stacked cross-attention: words and image regions.

To judge whether a sentence fits an image, each word gathers the regions that speak of it. A region that is similar to
everything should count little, so its similarities are first divided by their norm *over the words*; negative ones are
damped. Only then comes a softmax over the regions, sharpened by a large inverse temperature.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum
from .graph_attention import leaky_relu
from .softmax_attention import softmax_weights


@reference
def stacked_cross_attention(
    query: Reals,
    key: Reals,
    value: Reals | None = None,
    *,
    inverse_temperature: Reals = 9.0,  # type: ignore[assignment]
    factors: Reals | None = None,
    slope: float = 0.1,
    eps: float = 1e-8,
    mask: Booleans | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Softmax attention over similarities that are normalized along the queries first.

    $$w_{ij} = \mathrm{softmax}_j(\lambda_i\, \bar r_{ij}), \qquad
      \bar r_{ij} = \frac{r_{ij}}{\sqrt{\sum_l r_{lj}^2} + \mathrm{eps}}, \qquad
      r_{ij} = \mathrm{LeakyReLU}(\langle \mathrm{factors}_i \odot q_i, k_j\rangle)$$

    Parameters
    ----------
    query : (..., m, d) real array
        Words; rows of length 1, by the caller.
    key : (..., n, d) real array
        Regions; rows of length 1, by the caller.
    value : (..., n, e) real array, optional
        What the regions say; the keys if not given.
    inverse_temperature : float or (..., m) real array, default 9
        $\lambda$, at least 0; the paper takes 9 from words to regions and 4 the other way round.
    factors : (..., m, d) real array, optional
        Regulates the features of each query; 1 if not given.
    slope : float, default 0.1
        At least 0: what is left of a negative similarity.
    eps : float, default 1e-8
        At least 0: added to the norm of a column.
    mask : (..., m, n) boolean array, optional
        True = may attend; hidden pairs take no part in the norm either.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query that sees no key.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is visible.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree, or `slope`, `eps` or `inverse_temperature` is negative.

    Notes
    -----
    Cost: m n (d + e) multiplications in two passes: the columns' norms come first. The rows are coupled through them:
    dropping a query changes the others.

    References
    ----------
    Lee et al., "Stacked Cross Attention for Image-Text Matching", 2018, arXiv 1803.08024; `factors` and a temperature
    per query as in Diao et al., "Plug-and-Play Regulators for Image-Text Matching", 2023, arXiv 2303.13371.

    Examples
    --------
    >>> import numpy as np
    >>> words, regions = np.eye(2), np.eye(2)
    >>> stacked_cross_attention(words, regions, np.array([[1.0], [2.0]])).round(2)
    array([[1.],
           [2.]])
    """
    value = key if value is None else value
    visible = visible_pairs(query, key, mask, causal=False)
    similarity = (query if factors is None else factors * query) @ key.mT  # (..., m, n)
    rectified = np.where(visible, leaky_relu(similarity, slope), 0)
    norm = np.sqrt((rectified**2).sum(axis=-2, keepdims=True)) + eps  # (..., 1, n)
    normalized = rectified / np.where(norm == 0, 1, norm)
    weights = softmax_weights(np.asarray(inverse_temperature)[..., None] * normalized, visible)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
