r"""Coverage: attention that knows where it has been.

Decoders repeat themselves. A summarizer that attends to the same sentence again says the same thing again. See et al.
let the attention see its own past: the *coverage* of a source position is the sum of all weights that it has had so
far, and it enters the score beside the query and the key. So the network can learn to go where it has not been.

In the paper's letters: $h_j$ are the encoder's states (`key`), $s_i$ the decoder's (`query`), $c^i$ the coverage,

$$e_{ij} = v \cdot \tanh(W_h h_j + W_s s_i + w_c c^i_j + b), \qquad a^i = \mathrm{softmax}(e_i), \qquad
  c^{i+1} = c^i + a^i, \qquad c^0 = 0,$$

with matrices on the right here. The score is that of `additive_attention` with one term more. But $c^i$ depends on all
weights before: the steps follow each other, and only the keys are computed at once.

**A state that can be handed on.** The coverage is all that a step needs of its past. So m steps at once, or one call
per step with the coverage of the last as `initial`, are the same; that is how a decoder uses it.

**Conventions that differ.** ESPnet (`AttCov`) starts from a uniform coverage (`initial="uniform"`), as if everything
had been looked at a little, and sharpens the softmax by a `scale` of 2. Under a mask "everything" is what the first
step may see, since it cannot know what later ones may.
"""

from typing import Any

import numpy as np

from ..contract import reference, with_extras
from ..dotproduct.softmax_attention import softmax_weights
from ..feedback import first_row, stacked, starting_weights
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum


@reference
def coverage_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    w_query: Reals,
    w_key: Reals,
    b_key: Reals | None = None,
    w_coverage: Reals,
    b_coverage: Reals | None = None,
    v: Reals,
    b_v: float = 0.0,
    scale: float = 1.0,
    initial: str | Reals = "zeros",
    mask: Booleans | None = None,
    return_weights: bool = False,
    return_coverage: bool = False,
) -> Any:
    r"""Additive attention whose scores see how much each key has been attended to before.

    $$\mathrm{out}_i = \sum_{j \in V(i)} a_{ij} v_j, \qquad a_{i\cdot} = \mathrm{softmax}(\mathrm{scale}\, e_{i\cdot}),
      \qquad e_{ij} = v \cdot \tanh(k_j W_k + b_k + q_i W_q + c_{ij} w_c + b_c) + b_v, \qquad
      c_{ij} = c_{0j} + \sum_{i' < i} a_{i'j}$$

    Parameters
    ----------
    query : (..., m, d_q) real array
        One row per step, in the order of time.
    key : (..., n, d_k) real array
        One row per source position.
    value : (..., n, e) real array
        One row per source position.
    w_query : (d_q, a) real array
        $W_q$.
    w_key : (d_k, a) real array
        $W_k$.
    b_key : (a,) real array, optional
        $b_k$; 0 if not given.
    w_coverage : (a,) real array
        $w_c$: what a unit of coverage adds to the hidden layer.
    b_coverage : (a,) real array, optional
        $b_c$; 0 if not given.
    v : (a,) real array
        v: from the hidden layer to the score.
    b_v : float, default 0
        $b_v$; the softmax takes it out again.
    scale : float, default 1
        Factor of the scores.
    initial : "zeros", "uniform" or (..., n) real array, default "zeros"
        $c_0$, at least 0. "uniform" is 1 divided by the number of keys that the first step sees, on these keys.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    return_weights : bool, default False
        Return the weights too.
    return_coverage : bool, default False
        Return the coverage after the last step too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a step that sees no key.
    weights : (..., m, n) array
        With `return_weights` only: a; rows sum to 1, or to 0 where nothing is visible.
    coverage : (..., n) array
        With `return_coverage` only: $c_0$ and the sum of all weights.

    Raises
    ------
    ValueError
        If shapes disagree, `initial` is another word, or negative at a key that some step sees.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: m n a hyperbolic tangents, m steps one after the other; the projections of the keys are made once. Gradients:
    backward through the steps.

    Without `w_coverage` and `b_coverage` it is `additive_attention`. `coverage_loss` is what punishes coming back.
    `location_sensitive_attention` sees its past weights through a convolution instead, and so knows direction too.

    References
    ----------
    See, Liu & Manning, "Get To The Point: Summarization with Pointer-Generator Networks", 2017, arXiv 1704.04368,
    section 2.3.

    Examples
    --------
    The same query three times. Every look lowers the score of what was seen, and so the weight moves on:

    >>> import numpy as np
    >>> keys, one = np.array([[0.8], [0.0], [-0.8]]), np.ones(1)
    >>> network = {"w_query": np.ones((1, 1)), "w_key": np.ones((1, 1)), "w_coverage": -2 * one, "v": 6 * one}
    >>> found = coverage_attention(np.zeros((3, 1)), keys, np.eye(3), **network, return_coverage=True)
    >>> found.output.round(2)
    array([[0.98, 0.02, 0.  ],
           [0.01, 0.97, 0.02],
           [0.27, 0.12, 0.61]])
    >>> found.coverage.round(2)
    array([1.26, 1.11, 0.64])
    """
    visible = visible_pairs(query, key, mask, causal=False)
    of_query, of_key = query @ w_query, key @ w_key  # (..., m, a), (..., n, a)
    for bias in (b_key, b_coverage):
        of_key = of_key if bias is None else of_key + bias

    coverage = starting_weights(initial, first_row(visible), query)  # (..., n)
    rows = []
    for i in range(query.shape[-2]):
        hidden = of_query[..., i, None, :] + of_key + coverage[..., None] * w_coverage  # (..., n, a)
        scores = scale * (np.tanh(hidden) @ v + b_v)
        row = softmax_weights(scores, visible[..., i, :])  # (..., n)
        coverage = coverage + row
        rows.append(row)

    leading = np.broadcast_shapes(of_query.shape[:-2], of_key.shape[:-2], visible.shape[:-2], coverage.shape[:-1])
    coverage = np.array(np.broadcast_to(coverage, (*leading, key.shape[-2])))
    weights = stacked(rows, leading, query, key.shape[-2])  # (..., m, n)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return with_extras(
        output, weights=weights if return_weights else None, coverage=coverage if return_coverage else None
    )
