r"""Differential attention: what one softmax says beyond another.

A softmax spreads a little weight over everything. Two softmax maps of the same tokens, from two projections, share
that background; their difference cancels it and keeps what they disagree on, as a differential amplifier cancels the
noise that two wires pick up together.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..norms import unit_rms
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def differential_attention(
    query: Reals,
    key: Reals,
    query_negative: Reals,
    key_negative: Reals,
    value: Reals,
    *,
    strength: Reals,
    norm_eps: float | None = None,
    norm_scale: float = 1.0,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention with the difference of two softmax maps.

    $$\mathrm{out} = \bigl(\mathrm{softmax}(s^{(1)}) - \mathrm{strength}\;\mathrm{softmax}(s^{(2)})\bigr) V$$

    and, if `norm_eps` is given, each output row is divided by its root mean square: with $x$ the row,
    $x \leftarrow \mathrm{norm\_scale}\; x / \sqrt{\overline{x^2} + \mathrm{norm\_eps}}$.

    Parameters
    ----------
    query : (..., m, d) real array
        Queries of the first map.
    key : (..., n, d) real array
        Keys of the first map.
    query_negative : (..., m, d) real array
        Queries of the map that is taken away.
    key_negative : (..., n, d) real array
        Keys of the map that is taken away.
    value : (..., n, e) real array
        One row per key, common to both.
    strength : float or real array (..., 1, 1)
        How much of the second map is taken away; see `differential_strength`.
    norm_eps : float, optional
        At least 0: divide each output row by its root mean square; no normalization if not given.
    norm_scale : float, default 1
        Factor after the normalization.
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
        With `return_weights` only: rows sum to 1 - strength; entries may be negative.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`; ValueError for a negative `norm_eps`.

    Notes
    -----
    Cost: that of two `softmax_attention`. Bias, mask and causal rule are common to both maps.

    References
    ----------
    Ye et al., "Differential Transformer", 2024, arXiv 2410.05258.

    Examples
    --------
    Two equal maps cancel but for 1 - strength:

    >>> import numpy as np
    >>> q, k, v = np.ones((1, 2)), np.eye(2), np.array([[4.0], [8.0]])
    >>> differential_attention(q, k, q, k, v, strength=0.5)
    array([[3.]])
    """
    visible = visible_pairs(query, key, mask, causal)
    positive = softmax_weights(dot_scores(query, key, scale, bias), visible)  # (..., m, n)
    negative = softmax_weights(dot_scores(query_negative, key_negative, scale, bias), visible)
    weights = np.where(visible, positive - strength * negative, 0)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    if norm_eps is not None:
        output = norm_scale * unit_rms(output, norm_eps)
    return AttentionResult(output, weights) if return_weights else output


@reference
def differential_strength(query1: Reals, key1: Reals, query2: Reals, key2: Reals, *, initial: float) -> Reals:
    r"""Return the strength of the second map from four learned vectors.

    $$\lambda = e^{q_1 \cdot k_1} - e^{q_2 \cdot k_2} + \lambda_{\mathrm{initial}}$$

    Parameters
    ----------
    query1, key1, query2, key2 : (..., d) real arrays
        Learned vectors of one width, shared by the heads of a layer.
    initial : float
        The paper takes $0.8 - 0.6\,e^{-0.3\,l}$ in layer l = 0, 1, ...

    Returns
    -------
    (...) array
        The strength, a number for plain vectors.

    Raises
    ------
    ValueError, TypeError
        If the widths differ or an array is not real.

    Notes
    -----
    Cost: O(d). The output of `differential_attention` is then scaled by `norm_scale` = 1 - initial.

    References
    ----------
    Ye et al., "Differential Transformer", 2024, arXiv 2410.05258.

    Examples
    --------
    Equal vectors leave the initial value:

    >>> import numpy as np
    >>> float(differential_strength(*np.ones((4, 3)), initial=0.2))
    0.2
    """
    return np.exp((query1 * key1).sum(axis=-1)) - np.exp((query2 * key2).sum(axis=-1)) + initial
