r"""Global attention of Luong et al., with its attentional vector.

The decoder has a state $h_t$. It compares the state with every source position (`luong_score`), normalizes, and takes
the mean of the values, the context $c_t$. Then, and this is the other half of the proposal, context and state are put
together again by one layer,

$$\alpha_t = \mathrm{softmax}(\mathrm{score}(h_t, \bar h)), \qquad c_t = \sum_s \alpha_{ts} \bar h_s, \qquad
  \tilde h_t = \tanh([c_t; h_t]\, W_c + b),$$

and the **attentional vector** $\tilde h_t$ predicts the next word; fed back into the decoder it remembers what has been
attended to. With $W_c$ = `w_out` the context's rows come first.

A product with a concatenation is the sum of two products, so $[c; h]\, W_c$ is computed as
$c\, W_{\text{top}} + h\, W_{\text{bottom}}$, and nothing is copied.

**What to watch for.** There is no factor $1/\sqrt d$. Bahdanau's attention feeds the state from before the step,
Luong's the one of the step: here it is whatever is handed in. OpenNMT's "mlp" variant has no tanh about its output.
"""

from typing import Any

import numpy as np

from ..contract import formula, reference, with_extras
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum
from .luong_score import luong_score


@reference
def luong_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    score: str = "dot",
    w_score: Reals | None = None,
    w_query: Reals | None = None,
    w_key: Reals | None = None,
    b_query: Reals | None = None,
    v: Reals | None = None,
    mask: Booleans | None = None,
    w_out: Reals | None = None,
    b_out: Reals | None = None,
    return_weights: bool = False,
    return_attentional: bool = False,
) -> Any:
    r"""Attention with a choice of scores, and an attentional vector.

    $$c_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad w_{i\cdot} = \mathrm{softmax}(\mathrm{score}(q_i, k_\cdot)), \qquad
      \tilde h_i = \tanh([c_i; q_i]\, W_c + b)$$

    Parameters
    ----------
    query : (..., m, p) real array
        One row per query.
    key : (..., n, r) real array
        One row per key; for "dot" r = p.
    value : (..., n, e) real array
        One row per key.
    score : {"dot", "general", "concat", "additive", "location"}, default "dot"
        As in `luong_score`.
    w_score, w_query, w_key, b_query, v : real arrays, optional
        The parameters of the score, as in `luong_score`.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    w_out : (e + p, o) real array, optional
        $W_c$: the rows of the context, then those of the query.
    b_out : (o,) real array, optional
        b; 0 if not given.
    return_weights : bool, default False
        Return the weights too.
    return_attentional : bool, default False
        Return the attentional vectors too, which takes `w_out`.

    Returns
    -------
    output : (..., m, e) array
        The context: zeros for a query that sees no key.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is visible.
    attentional : (..., m, o) array
        With `return_attentional` only: numbers between -1 and 1.

    Raises
    ------
    ValueError
        If shapes disagree, `score` is unknown or lacks a parameter, or `w_out` is missing.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: that of the score and m n e; m (e + p) o for the attentional vector.

    Neighbors: "dot" is `softmax_attention` with scale 1, "general" `bilinear_attention`, "concat" `concat_attention`,
    "additive" `additive_attention`, "location" `location_attention`. `luong_local_attention` looks at a window only.

    References
    ----------
    Luong, Pham & Manning, "Effective Approaches to Attention-based Neural Machine Translation", 2015,
    arXiv 1508.04025, section 3.1.

    Examples
    --------
    The second key fits. The attentional vector here is context minus query, squashed:

    >>> import numpy as np
    >>> minus = np.concatenate([np.eye(2), -np.eye(2)])
    >>> found = luong_attention(
    ...     np.array([[0.0, 5.0]]), np.eye(2), np.eye(2), w_out=minus, return_weights=True, return_attentional=True
    ... )
    >>> found.weights.round(3), found.attentional.round(3)
    (array([[0.007, 0.993]]), array([[ 0.007, -0.999]]))
    """
    visible = visible_pairs(query, key, mask, causal=False)
    scores = formula(luong_score)(
        query, key, score=score, w_score=w_score, w_query=w_query, w_key=w_key, b_query=b_query, v=v
    )
    weights = softmax_weights(scores, visible)  # (..., m, n)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    if not return_attentional:
        return with_extras(output, weights=weights if return_weights else None)
    e = output.shape[-1]
    hidden = output @ w_out[:e] + query @ w_out[e:]  # type: ignore[index]
    attentional = np.tanh(hidden if b_out is None else hidden + b_out)  # (..., m, o)
    return with_extras(output, weights=weights if return_weights else None, attentional=attentional)
