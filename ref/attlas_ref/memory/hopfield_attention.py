r"""Modern Hopfield retrieval: attention that walks downhill to a stored pattern.

A Hopfield network stores patterns as the valleys of an energy. Start it from a noisy or partial pattern, let the state
roll downhill, and it comes to rest at the pattern that was meant. Ramsauer et al. found that with continuous states and
the energy of `hopfield_energy` one step of this descent is softmax attention: the state is the query, the stored
patterns are the keys.

In the paper's letters $\xi$ is the state (a row of `query`), $X$ holds the stored patterns $x_j$ (rows of `key`), and
$\beta$ is the inverse temperature (`beta`). The energy is a sum of a convex and a concave part,

$$E(\xi) = \tfrac12 \langle \xi, \xi \rangle - \tfrac1\beta \log \sum_j e^{\beta \langle x_j, \xi \rangle} +
\mathrm{const},$$

and minimizing it with the concave part replaced by its tangent gives the update in closed form: the new state is the
gradient of the log-sum-exp,

$$\xi^{\mathrm{new}} = X^\top \mathrm{softmax}(\beta X \xi).$$

A tangent lies above a concave function, so each step lowers the energy by at least $\tfrac12 \|\xi^{\mathrm{new}} -
\xi\|^2$. None of this is special to the softmax: with `entmax` in its place (`alpha` above 1), and its own convex
function in place of the log-sum-exp, the state lands exactly on a pattern as soon as the margin to the others is large
enough.

**What beta decides.** $\beta$ times the distances within the set of patterns is what counts. Where it is small, there
is one valley near the mean of all patterns; where it is large, each pattern has its own; between the two lie metastable
states, means of patterns that are alike. Attention layers, with $\beta = 1/\sqrt d$, are found in all three regimes.

**Conventions.** `steps` counts evaluations of the softmax: the query moves `steps` - 1 times among the keys, then reads
the values. In the package hopfield-layers `update_steps_max` counts the moves alone, and its stopping rule looks at a
whole head at once; here `tol` is decided for each query by itself.
"""

import numpy as np

from ..contract import AttentionResult, RetrievalSteps, RetrievalWeightsSteps, reference
from ..normalizers.entmax import entmax_weights
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def hopfield_attention(
    query: Reals,
    key: Reals,
    value: Reals | None = None,
    *,
    beta: float | None = None,
    steps: int = 1,
    tol: float = 0.0,
    alpha: float = 1.0,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
    return_steps: bool = False,
) -> Reals | AttentionResult | RetrievalSteps | RetrievalWeightsSteps:
    r"""Retrieve stored patterns: attention whose query first moves among the keys.

    $$\xi_0 = q_i, \qquad w_s = \alpha\text{-entmax}(\beta\, \xi_{s-1} K^\top + \mathrm{bias}_i), \qquad
      \xi_s = w_s K, \qquad \mathrm{out}_i = w_{\mathrm{steps}} V$$

    over the keys that query i may see.

    Parameters
    ----------
    query : (..., m, d) real array
        State patterns: where each retrieval starts.
    key : (..., n, d) real array
        Stored patterns.
    value : (..., n, e) real array, optional
        What is read in the end; `key` if not given, so that the network completes patterns (auto-association).
    beta : float, optional
        Inverse temperature, above 0; $1/\sqrt d$ if not given.
    steps : int, default 1
        How often the weights are computed, at least 1.
    tol : float, default 0
        If above 0, a query stops moving once its weights change by no more than this (Euclidean distance).
    alpha : float, default 1
        At least 1: 1 is the softmax, 2 the sparsemax; see `entmax`.
    mask : (..., m, n) boolean array, optional
        True = may attend, in every step.
    bias : (..., m, n) real array, optional
        Added to the scores, in every step.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.
    return_weights : bool, default False
        Return the weights of the last step too.
    return_steps : bool, default False
        Return how many steps each query took.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query that sees no key.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is visible.
    steps : (..., m) integer array
        With `return_steps` only: `steps`, or less where `tol` has stopped a query.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, or `beta`, `steps`, `tol` or `alpha` is out of range.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: steps m n d + m n e multiplications; this reference holds the (m, n) weights, an engine streams over blocks of
    keys and holds O((m + n)(d + e)).

    With `steps=1` this is `softmax_attention` (alpha 1) or `entmax_attention`, with beta as the scale.
    `hopfield_energy` is what the states go down, `hopfield_attention_vjp` its gradient, `classical_hopfield` the binary
    ancestor.

    References
    ----------
    Ramsauer et al., "Hopfield Networks is All You Need", 2020, arXiv 2008.02217, eq. (3) and (5).
    Martins, Niculae & McNamee, "Sparse Modern Hopfield Networks", 2023 (alpha above 1).

    Examples
    --------
    Half a pattern is completed, and further steps make it sharper:

    >>> import numpy as np
    >>> patterns = np.array([[1.0, 1, 1, 1], [1, 1, -1, -1], [-1, 1, -1, 1]])
    >>> half = np.array([[1.0, 1, 0, 0.5]])
    >>> for steps in (1, 2, 3):
    ...     print(hopfield_attention(half, patterns, steps=steps, beta=2.0).round(2))
    [[0.97 1.   0.73 0.77]]
    [[1.   1.   0.99 1.  ]]
    [[1. 1. 1. 1.]]

    With sparsemax it is found exactly, and at once:

    >>> hopfield_attention(half, patterns, beta=2.0, alpha=2.0)
    array([[1., 1., 1., 1.]])
    """
    visible = visible_pairs(query, key, mask, causal)

    def weights_of(state: Reals) -> Reals:
        return entmax_weights(dot_scores(state, key, beta, bias), visible, alpha)  # (..., m, n)

    weights = weights_of(query)
    taken = np.ones(weights.shape[:-1], dtype=np.int64)  # (..., m)
    moving = np.ones(weights.shape[:-1], dtype=bool)
    for _ in range(1, steps):
        updated = weights_of(weighted_sum(weights, key, visible))
        change = np.sqrt(((updated - weights) ** 2).sum(axis=-1))
        weights = np.where(moving[..., None], updated, weights)
        taken = taken + moving
        if tol > 0:
            moving = moving & ~(change <= tol)  # a NaN never comes to rest

    output = weighted_sum(weights, key if value is None else value, visible)  # (..., m, e)
    if return_weights and return_steps:
        return RetrievalWeightsSteps(output, weights, taken)
    if return_weights:
        return AttentionResult(output, weights)
    return RetrievalSteps(output, taken) if return_steps else output
