r"""Softmax that may abstain: one more term in the denominator.

A softmax must hand out a weight of 1 even when no key has anything to say; heads then park it on a meaningless token.
Adding a constant to the denominator gives the weight somewhere to go:

$$w_{ij} = \frac{e^{s_{ij}}}{\mathrm{extra} + \sum_l e^{s_{il}}},$$

as if `extra` further keys had the score 0 and the value 0. With `extra` = 1 it is "softmax1" or "quiet attention".

The shift needs care: the added term takes part in the maximum, $M_i = \max(0, \max_l s_{il})$, and becomes
$\mathrm{extra}\, e^{-M_i}$. Unlike a softmax it notices when a constant is added to all scores.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def softmax_plus_n_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    extra: float = 1.0,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Softmax attention with a constant added to the denominator, so that a query may attend to nothing.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad
      w_{ij} = \frac{e^{s_{ij}}}{\mathrm{extra} + \sum_{l \in V(i)} e^{s_{il}}}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    extra : float, default 1
        At least 0: how many keys of score 0 and value 0 to add; need not be whole.
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
        With `return_weights` only: rows sum to less than 1 when `extra` > 0.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`; ValueError for a negative `extra`.

    Notes
    -----
    Cost: m n (d + e) multiplications, in one pass over blocks of keys.

    `extra=0` is `softmax_attention`; a whole number r equals r appended keys of zeros; `sink_attention` with a sink
    of log(extra) is the same with a learned constant. As all scores fall the output tends to 0.

    References
    ----------
    Miller, "Attention Is Off By One", 2023 (blog).
    Guo et al., "Active-Dormant Attention Heads", 2024, arXiv 2410.13835.

    Examples
    --------
    One key of score 0 shares the weight with the constant; at a score of -10 the head keeps quiet:

    >>> import numpy as np
    >>> value = np.array([[1.0]])
    >>> softmax_plus_n_attention(np.zeros((1, 1)), np.zeros((1, 1)), value)
    array([[0.5]])
    >>> softmax_plus_n_attention(np.array([[-10.0]]), np.ones((1, 1)), value).round(4)
    array([[0.]])
    """
    visible = visible_pairs(query, key, mask, causal)
    scores = np.where(visible, dot_scores(query, key, scale, bias), -np.inf)  # (..., m, n)
    # The added keys have the score 0, so the shift is at least 0; without them it is that of a softmax.
    maximum = scores.max(axis=-1, keepdims=True, initial=0.0 if extra > 0 else -np.inf)  # (..., m, 1)
    maximum = np.where(maximum == -np.inf, 0, maximum)
    unnormalized = np.where(visible, np.exp(scores - maximum), 0)
    added = extra * np.exp(-maximum) if extra > 0 else 0  # 0 times an overflow would be NaN
    total = added + unnormalized.sum(axis=-1, keepdims=True)
    weights = np.where(visible, unnormalized / np.where(total == 0, 1, total), 0)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
