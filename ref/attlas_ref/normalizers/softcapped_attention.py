r"""Softmax attention with capped scores.

A score that runs away makes its key take all the weight and its gradient vanish. Gemma 2 bends the scores by
$s \mapsto c \tanh(s / c)$, which is $s$ for $|s| \ll c$ and never leaves $(-c, c)$: no weight is then more than
$e^{2c}$ times another.

The cap comes after the bias and before the mask, so that hidden pairs stay hidden.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def softcapped_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    cap: float,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Softmax attention whose scores are bent so that none exceeds `cap`.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad
      w_{i\cdot} = \mathrm{softmax}\Bigl(\mathrm{cap} \cdot \tanh\frac{s_{ij}}{\mathrm{cap}}\Bigr), \qquad
      s_{ij} = \mathrm{scale}\,\langle q_i, k_j\rangle + \mathrm{bias}_{ij}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    cap : float
        Above 0, in the unit of the scores (Gemma 2 uses 50).
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
        With `return_weights` only: rows sum to 1, or to 0 where nothing is visible.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`; ValueError if `cap` is not above 0.

    Notes
    -----
    Cost: m n (d + e) multiplications and m n hyperbolic tangents.

    As `cap` grows it becomes `softmax_attention`. A bias of $-\infty$ is capped to $-\mathrm{cap}$ and hides nothing:
    use `mask`.

    References
    ----------
    Gemma Team, "Gemma 2: Improving Open Language Models at a Practical Size", 2024, arXiv 2408.00118.

    Examples
    --------
    However loud the first key, it is at most e² times as heavy with a cap of 1:

    >>> import numpy as np
    >>> key = np.array([[1000.0], [-1000.0]])
    >>> result = softcapped_attention(np.array([[1.0]]), key, key, cap=1.0, return_weights=True)
    >>> result.weights.round(3)
    array([[0.881, 0.119]])
    """
    visible = visible_pairs(query, key, mask, causal)
    scores = dot_scores(query, key, scale, bias)  # (..., m, n)
    weights = softmax_weights(cap * np.tanh(scores / cap), visible)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
