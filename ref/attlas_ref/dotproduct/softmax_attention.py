r"""Scaled dot-product attention.

Every query compares itself with every key; the similarities become weights that sum to one; the output is the
weighted mean of the values. It is the formulation that the others are measured against.

In the letters of Vaswani et al.: $\mathrm{Attention}(Q, K, V) = \mathrm{softmax}(Q K^\top / \sqrt{d})\, V$, with
$Q$ = `query`, $K$ = `key`, $V$ = `value`, $1/\sqrt d$ = `scale`.

**The shift.** $\exp$ overflows in float32 above 88. Dividing numerator and denominator by $e^{M_i}$ changes nothing,

$$w_{ij} = \frac{e^{z_{ij}}}{\sum_l e^{z_{il}}} = \frac{e^{z_{ij} - M_i}}{\sum_l e^{z_{il} - M_i}},$$

and with $M_i = \max_l z_{il}$ every exponent is at most 0 and the sum at least 1.

**Conventions that differ between libraries.** A causal mask is aligned at the end (the last query sees the last
key), as in FlashAttention and unlike PyTorch's `is_causal=True` when m differs from n. A query that sees no key
gets zeros. A mask removes a pair *before* the normalizer; it is never added as a large negative number.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def softmax_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    temperature: float = 1.0,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Scaled dot-product attention: each output is a weighted mean of the values.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad
      w_{ij} = \frac{e^{z_{ij}}}{\sum_{l \in V(i)} e^{z_{il}}}, \qquad
      z_{ij} = \frac{\mathrm{scale}\,\langle q_i, k_j\rangle + \mathrm{bias}_{ij}}{\mathrm{temperature}}$$

    where $V(i)$ holds the keys that query i may see.

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        What each key has to say; its unit is the unit of the output.
    temperature : float, default 1
        Above 0. Low temperatures sharpen the weights towards the largest score, high ones flatten them to the mean.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend. Anything that broadcasts to this shape will do.
    bias : (..., m, n) real array, optional
        Added to the scaled scores. A bias of $-\infty$ gives the pair the weight 0.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.
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
    ValueError
        If shapes disagree, d is 0, or `temperature` or `scale` is out of range.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: m n (d + e) multiplications; this reference holds the (m, n) weights, an engine streams over blocks of keys
    and holds O((m + n)(d + e)).

    Neighbors: `memory_efficient_attention` is the same function with bounded memory, `attention_energy` the
    logarithm of its normalizer, `softmax_attention_vjp` its gradient, `sigmoid_attention` the same scores without
    competition between the keys.

    References
    ----------
    Vaswani et al., "Attention Is All You Need", 2017, arXiv 1706.03762, eq. (1).

    Examples
    --------
    A query that points along the second key takes mostly its value:

    >>> import numpy as np
    >>> key = np.eye(3)
    >>> value = np.array([[10.0], [20.0], [30.0]])
    >>> output, weights = softmax_attention(4 * key[1:2], key, value, return_weights=True)
    >>> weights.round(2)
    array([[0.08, 0.83, 0.08]])
    >>> output.round(2)
    array([[20.]])

    Hiding the key makes the rest share its weight:

    >>> softmax_attention(4 * key[1:2], key, value, mask=np.array([[True, False, True]]))
    array([[20.]])
    """
    visible = visible_pairs(query, key, mask, causal)
    scores = dot_scores(query, key, scale, bias) / temperature  # (..., m, n)
    weights = softmax_weights(scores, visible)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output


def softmax_weights(scores: Reals, visible: Booleans) -> Reals:
    """Return the softmax of each row over its visible entries: exactly 0 elsewhere, and where nothing is visible."""
    scores = np.where(visible, scores, -np.inf)
    maximum = scores.max(axis=-1, keepdims=True, initial=-np.inf)  # (..., m, 1)
    # A row without any finite score has no shift; 0 keeps exp(-inf - 0) = 0 where -inf - -inf would be NaN.
    maximum = np.where(maximum == -np.inf, 0, maximum)
    unnormalized = np.where(visible, np.exp(scores - maximum), 0)
    total = unnormalized.sum(axis=-1, keepdims=True)
    # A visible NaN makes the total NaN; the hidden weights of that row stay 0.
    return np.where(visible, unnormalized / np.where(total == 0, 1, total), 0)
