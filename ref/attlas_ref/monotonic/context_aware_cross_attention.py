r"""Attention to everything, mixed with attention near its peak.

A decoder that writes all words at once has little to go by, and its attention is vague: it finds the right place and
also looks everywhere else. Ding et al. strengthen the surroundings of the place. Attention is computed as usual, $A$;
its peak $c_i$ is found; attention is computed again, $B$, over the keys within `radius` of the peak alone; and a gate
mixes the two,

$$A_i = \mathrm{softmax}_{V(i)}(s_i), \qquad c_i = \arg\max_j A_{ij}, \qquad
  B_i = \mathrm{softmax}_{V(i),\, |j - c_i| \le r}(s_i), \qquad w_i = g_i A_i + (1 - g_i) B_i .$$

Both use the same scores. Within the window $B$ is therefore $A$ divided by its sum there, and one pass over the scores
serves both.

The peak is a choice and passes no gradient; the gate $g_i$ in [0, 1] does. How it is computed is left to the caller:
the paper makes it of the query. `center` replaces the peak by a place that is known. Among equal scores the first is
the peak. With $g = 1$ this is `softmax_attention`, with $g = 0$ it is attention in a window, and with a radius of 0
besides it is hard.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..variational.hard_attention import first_best
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def context_aware_cross_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    gate: Reals,
    *,
    radius: int,
    center: Reals | None = None,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Mixture of attention to all keys and attention to those near the best one.

    $$\mathrm{out}_i = \sum_j \bigl(g_i A_{ij} + (1 - g_i) B_{ij}\bigr) v_j, \qquad
      B_{ij} = \frac{A_{ij}\,[|j - c_i| \le r]}{\sum_{l : |l - c_i| \le r} A_{il}}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    gate : (..., m) real array
        $g_i$, from 0 (near the peak only) to 1 (everywhere).
    radius : int
        r, at least 0: how far from the peak the window reaches, to both sides.
    center : (..., m) integer array, optional
        $c_i$, at least 0, in place of the peak.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    bias : (..., m, n) real array, optional
        Added to the scaled scores.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query that sees no key.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1 (to g where a given center has no visible key near), or to 0 where
        nothing is visible.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, `radius` is negative, or a gate leaves [0, 1].
    TypeError
        If an array is complex, an object or text, `center` is not whole or `mask` is not boolean.

    Notes
    -----
    Cost: m n (d + e) multiplications and m n exponentials, once for both parts. Gradients: two softmaxes with the peak
    held still, and $\langle G_i, ((A - B) v)_i \rangle$ for the gate.

    Neighbors: `softmax_attention`, `windowed_soft_attention`, `hard_attention`, of which it is a mixture.

    References
    ----------
    Ding et al., "Context-Aware Cross-Attention for Non-Autoregressive Translation", 2020, arXiv 2011.00770.

    Examples
    --------
    Weights of 0.2, 0.5, 0.2 and 0.1. Half of the attention goes near the peak, which is the second key:

    >>> import numpy as np
    >>> key = np.log([[0.2], [0.5], [0.2], [0.1]])
    >>> mixed = [context_aware_cross_attention(np.ones((1, 1)), key, np.eye(4), [gate], radius=1) for gate in (1, 0.5)]
    >>> np.concatenate(mixed).round(3)
    array([[0.2  , 0.5  , 0.2  , 0.1  ],
           [0.211, 0.528, 0.211, 0.05 ]])
    """
    visible = visible_pairs(query, key, mask, causal=False)
    scores = dot_scores(query, key, scale, bias)  # (..., m, n)
    everywhere = softmax_weights(scores, visible)  # A
    if center is None:
        center, _ = first_best(scores, visible)  # (..., m)
    near = abs(np.arange(key.shape[-2]) - np.asarray(center)[..., None]) <= radius
    around = softmax_weights(scores, visible & near)  # B
    share = gate[..., None]
    weights = np.where(visible, share * everywhere + (1 - share) * around, 0)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
