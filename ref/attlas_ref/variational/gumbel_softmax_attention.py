r"""Drawing by adding noise: the Gumbel trick, and its smooth relation.

A draw from a softmax can be had without a cumulative sum: add independent Gumbel noise to the scores and take the
largest. Whatever the scores, the key that wins is distributed as $\mathrm{softmax}(s)$. All randomness then sits in the
noise, and what remains is an argmax of something that depends smoothly on the scores. Replace the argmax by a softmax
with temperature $\tau$ and there is a gradient: weights near one-hot when $\tau$ is small, smooth when it is large.

With a uniform number u per pair,

$$g = -\log(-\log(u + \epsilon) + \epsilon), \qquad w_{i\cdot} = \mathrm{softmax}((\log \mathrm{softmax}(s_{i\cdot}) +
g_{i\cdot}) / \tau),$$

with $\epsilon = 10^{-20}$, which bounds the noise at u = 0 (to -3.8) and at u = 1 (to 46). The logarithm of the softmax
differs from s by a constant per row, so s itself would give the same weights.

The argmax of the weights does not depend on $\tau$: the temperature says how much of the choice is shown, not what is
chosen. With `hard=True` the output is the value of that key, as in `hard_attention`; training then uses the gradient of
the smooth weights as if nothing had happened (straight-through), which is biased and works.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..log_space import finite_or_zero, log_sum_exp
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum
from .hard_attention import first_best, one_hot, rows_at

EPSILON = 1e-20
"""Bounds the noise at the ends of the unit interval."""


@reference
def gumbel_softmax_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    uniform: Reals,
    temperature: float = 1.0,
    hard: bool = False,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention with a relaxed draw: the softmax of scores with Gumbel noise.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad
      w_{i\cdot} = \mathrm{softmax}\Bigl(\frac{\log \mathrm{softmax}(s_{i\cdot}) + g_{i\cdot}}{\tau}\Bigr), \qquad
      g = -\log(-\log(u + \epsilon) + \epsilon), \qquad
      s_{ij} = \mathrm{scale}\,\langle q_i, k_j\rangle + \mathrm{bias}_{ij}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    uniform : (..., m, n) real array
        Uniform numbers in [0, 1], one per pair.
    temperature : float, default 1
        $\tau$, above 0: near 0 the weights are one-hot, for large ones all alike.
    hard : bool, default False
        Read the value of the largest weight alone.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend; hidden keys get no noise either.
    bias : (..., m, n) real array, optional
        Added to the scaled scores.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query that sees no key; with `hard` copies of rows of `value`.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is visible; with `hard` one-hot.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, `temperature` is not above 0, or a uniform number leaves [0, 1].
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: that of `softmax_attention` and m n draws read, with three logarithms and exponentials per pair; it streams.

    Equal draws give `softmax_attention` with `temperature`. Gradient of the smooth form: that of a softmax, divided by
    $\tau$.

    References
    ----------
    Jang, Gu & Poole, "Categorical Reparameterization with Gumbel-Softmax", 2016, arXiv 1611.01144.
    Maddison, Mnih & Teh, "The Concrete Distribution", 2016, arXiv 1611.00712.
    Deng, Kim, Chiu, Guo & Rush, "Latent Alignment and Variational Attention", 2018, arXiv 1807.03756.

    Examples
    --------
    One draw at three temperatures: the third key has won, and a low temperature says so.

    >>> import numpy as np
    >>> arrays, uniform = (np.ones((1, 1)), np.log([[0.2], [0.5], [0.3]]), np.eye(3)), np.array([[0.5, 0.3, 0.8]])
    >>> for temperature in (5.0, 1.0, 0.2):
    ...     print(gumbel_softmax_attention(*arrays, uniform=uniform, temperature=temperature).round(2))
    [[0.29 0.31 0.4 ]]
    [[0.14 0.2  0.66]]
    [[0. 0. 1.]]
    """
    visible = visible_pairs(query, key, mask, causal)
    scores = np.where(visible, dot_scores(query, key, scale, bias), -np.inf)  # (..., m, n)
    log_weights = scores - finite_or_zero(log_sum_exp(scores, keepdims=True))
    gumbel = -np.log(-np.log(uniform + EPSILON) + EPSILON)
    noisy = log_weights + gumbel
    if hard:
        index, spoiled = first_best(noisy, visible)
        output, weights = rows_at(index, spoiled, value), one_hot(index, spoiled, visible, noisy)
    else:
        weights = softmax_weights(noisy / temperature, visible)
        output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
