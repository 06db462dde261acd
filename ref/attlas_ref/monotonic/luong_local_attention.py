r"""Local attention: find a place, then look around it.

Looking at the whole source for every word is costly, and mostly in vain. Luong et al. look at a window of $2D + 1$
positions about a center $p_i$, which is found in one of two ways. In **local-m**, monotonic, source and target are
taken to run in step, $p_i = i$. In **local-p**, predictive, a small network says where, as a share of the length
$S$ of the source,

$$p_i = S \cdot \sigma\bigl(v_p \cdot \tanh(q_i W_p + b_p)\bigr),$$

with $D$ = `window` and $W_p$, $b_p$, $v_p$ = `w_position`, `b_position`, `v_position`. A window has hard edges and
passes no gradient to $p_i$. So local-p multiplies the weights by a bell about the center,

$$w_{ij} = \mathrm{softmax}_{W(i)}(s_{i\cdot})_j \cdot \exp\Bigl(-\frac{(j - p_i)^2}{2 \sigma^2}\Bigr),
  \qquad \sigma = D/2,$$

through which the center learns. The product is not normalized again: a row sums to at most 1, and to less the further
its weight lies from the center.

**What to watch for.** The paper does not say how the center is rounded for the window: here to the nearest position,
halves to the even one. Its positions count from 1, ours from 0: `center_offset=-1` gives the paper's. `lengths` sets
$S$ only; what stands behind the end of a source is hidden with `mask`. Where the window holds no key, the query
reads zeros. A center that is NaN makes its row NaN.
"""

from typing import Any

import numpy as np

from ..contract import formula, reference, with_extras
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum
from .luong_score import luong_score


@reference
def luong_local_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    window: int,
    alignment: str = "monotonic",
    center: Reals | None = None,
    w_position: Reals | None = None,
    b_position: Reals | None = None,
    v_position: Reals | None = None,
    sigma: float | None = None,
    center_offset: float = 0.0,
    score: str = "dot",
    w_score: Reals | None = None,
    w_query: Reals | None = None,
    w_key: Reals | None = None,
    b_query: Reals | None = None,
    v: Reals | None = None,
    mask: Booleans | None = None,
    lengths: Reals | None = None,
    return_weights: bool = False,
    return_center: bool = False,
) -> Any:
    r"""Attention in a window about a center that is given, in step, or predicted.

    $$\mathrm{out}_i = \sum_{j \in W(i)} w_{ij} v_j, \qquad
      w_{i\cdot} = \mathrm{softmax}_{W(i)}(s_{i\cdot})\; \bigl[\cdot\, e^{-(j - p_i)^2 / 2 \sigma^2}\bigr], \qquad
      W(i) = \{j \in V(i) : |j - \mathrm{round}(p_i)| \le D\}$$

    Parameters
    ----------
    query : (..., m, p) real array
        One row per query.
    key : (..., n, r) real array
        One row per key; for the score "dot" r = p.
    value : (..., n, e) real array
        One row per key.
    window : int
        D, at least 0; at least 1 for "predictive".
    alignment : {"monotonic", "predictive"}, default "monotonic"
        Where the center is: at the query's own number, or where a network says. "predictive" also multiplies the
        weights by the bell.
    center : (..., m) real array, optional
        $p_i$, from 0, in place of either.
    w_position : (p, c) real array, optional
        $W_p$, for "predictive" without `center`.
    b_position : (c,) real array, optional
        $b_p$; 0 if not given.
    v_position : (c,) real array, optional
        $v_p$, for "predictive" without `center`.
    sigma : float, optional
        Width of the bell in positions, above 0; D / 2 if not given.
    center_offset : float, default 0
        Added to predicted centers.
    score : {"dot", "general", "concat", "additive"}, default "dot"
        As in `luong_score`.
    w_score, w_query, w_key, b_query, v : real arrays, optional
        The parameters of the score, as in `luong_score`.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    lengths : (...) integer array, optional
        S; n if not given.
    return_weights : bool, default False
        Return the weights too.
    return_center : bool, default False
        Return the centers too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query without a key in its window.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1 ("monotonic") or at most 1.
    center : (..., m) array
        With `return_center` only: $p_i$, before rounding.

    Raises
    ------
    ValueError
        If shapes disagree, a choice is unknown or lacks its parameters, or `window` or `sigma` is out of range.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: m (2 D + 1) scores for an engine; this reference scores all m n pairs. Gradients reach a center through the
    bell alone.

    Neighbors: "monotonic" with a window over all keys is `luong_attention`. `windowed_soft_attention` takes the centers
    as whole numbers, `gmm_attention` has bells alone.

    References
    ----------
    Luong, Pham & Manning, "Effective Approaches to Attention-based Neural Machine Translation", 2015,
    arXiv 1508.04025, section 3.2.

    Examples
    --------
    Equal scores and a center between two positions. The window has three, and the bell takes the one that is far:

    >>> import numpy as np
    >>> found = luong_local_attention(
    ...     np.zeros((1, 1)), np.zeros((6, 1)), np.eye(6), window=1, alignment="predictive", center=np.array([2.6])
    ... )
    >>> found.round(2)
    array([[0.  , 0.  , 0.16, 0.24, 0.01, 0.  ]])
    """
    m, n = query.shape[-2], key.shape[-2]
    if center is None and alignment == "monotonic":
        center = np.arange(m, dtype=query.dtype)
    elif center is None:
        hidden = query @ w_position if b_position is None else query @ w_position + b_position
        share = 1 / (1 + np.exp(-(np.tanh(hidden) @ v_position)))  # (..., m)
        size = n if lengths is None else np.asarray(lengths, dtype=query.dtype)[..., None]
        center = size * share + center_offset
    place = center[..., None]  # (..., m, 1)

    # Not further than D: a center that is no number has no window, and is let through to make its row NaN.
    near = ~(abs(np.arange(n) - np.rint(place)) > window)
    visible = visible_pairs(query, key, mask, causal=False) & near
    scores = formula(luong_score)(
        query, key, score=score, w_score=w_score, w_query=w_query, w_key=w_key, b_query=b_query, v=v
    )
    weights = softmax_weights(np.where(np.isnan(place), np.nan, scores), visible)  # (..., m, n)
    if alignment == "predictive":
        width = window / 2 if sigma is None else sigma
        bell = np.exp(-(((np.arange(n, dtype=query.dtype) - place) / width) ** 2) / 2)
        weights = np.where(visible, weights * bell, 0)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return with_extras(
        output,
        weights=weights if return_weights else None,
        center=np.broadcast_to(center, output.shape[:-1]).copy() if return_center else None,
    )
