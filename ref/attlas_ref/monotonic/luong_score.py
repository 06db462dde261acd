r"""The scores of Luong et al.: five ways to compare a query with a key.

Before scaled dot products became the rule, Luong, Pham and Manning put the candidates side by side. With $h_t$ =
`query` and $\bar h_s$ = `key`,

$$\mathrm{score}(h_t, \bar h_s) = \begin{cases}
  h_t \cdot \bar h_s & \text{dot} \\
  h_t W \cdot \bar h_s & \text{general} \\
  v \cdot \tanh([h_t; \bar h_s]\, W) & \text{concat} \\
  v \cdot \tanh(h_t W_q + b_q + \bar h_s W_k) & \text{additive} \\
  (h_t W)_s & \text{location}
\end{cases}$$

with $W$ = `w_score`, $W_q$, $b_q$, $W_k$ = `w_query`, `b_query`, `w_key`, and matrices on the right of rows. None is
scaled by $1/\sqrt d$. Additive is Bahdanau's score; since a matrix times a concatenation is the sum of its two parts'
products, $[h_t; \bar h_s]\, W = h_t W_{\text{top}} + \bar h_s W_{\text{bottom}}$, concat is additive with W split by
rows. Location does not look at the keys, only at their number: it has one column per position, and uses the first n.

**What to watch for.** OpenNMT calls the additive score "mlp". The paper's dot and general scores grow with the width;
queries and keys that are wide want a `scale`, which `softmax_attention` has.
"""

import numpy as np

from ..contract import reference
from ..visibility import Reals


@reference
def luong_score(
    query: Reals,
    key: Reals,
    *,
    score: str = "dot",
    w_score: Reals | None = None,
    w_query: Reals | None = None,
    w_key: Reals | None = None,
    b_query: Reals | None = None,
    v: Reals | None = None,
) -> Reals:
    r"""Scores of all pairs by one of five functions.

    $$s_{ij} = q_i \cdot k_j, \quad q_i W \cdot k_j, \quad v \cdot \tanh([q_i; k_j]\, W), \quad
      v \cdot \tanh(q_i W_q + b_q + k_j W_k) \quad\text{or}\quad (q_i W)_j$$

    Parameters
    ----------
    query : (..., m, p) real array
        One row per query.
    key : (..., n, r) real array
        One row per key; for "dot" r = p.
    score : {"dot", "general", "concat", "additive", "location"}, default "dot"
        Which of the five, in the order of the formula.
    w_score : real array, optional
        W: (p, r) for "general", (p + r, a) for "concat", (p, N) with N >= n for "location".
    w_query : (p, a) real array, optional
        $W_q$, for "additive".
    w_key : (r, a) real array, optional
        $W_k$, for "additive".
    b_query : (a,) real array, optional
        $b_q$, for "additive"; 0 if not given.
    v : (a,) real array, optional
        For "concat" and "additive".

    Returns
    -------
    scores : (..., m, n) array
        Before any normalization.

    Raises
    ------
    ValueError
        If shapes disagree, `score` is unknown or lacks a parameter, or there are more keys than columns for "location".
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: m n p multiplications for "dot" and "general", m n a hyperbolic tangents for "concat" and "additive". This
    reference holds an (m, n, a) array for them.

    `luong_attention` and `luong_local_attention` attend with these scores. By themselves they belong to
    `bilinear_attention`, `concat_attention`, `additive_attention` and `location_attention`.

    References
    ----------
    Luong, Pham & Manning, "Effective Approaches to Attention-based Neural Machine Translation", 2015,
    arXiv 1508.04025, section 3.1.

    Examples
    --------
    A matrix that swaps two directions makes opposites agree:

    >>> import numpy as np
    >>> luong_score(np.eye(2), np.eye(2))
    array([[1., 0.],
           [0., 1.]])
    >>> luong_score(np.eye(2), np.eye(2), score="general", w_score=np.array([[0.0, 1.0], [1.0, 0.0]]))
    array([[0., 1.],
           [1., 0.]])
    """
    p, n = query.shape[-1], key.shape[-2]
    if score == "dot":
        return query @ key.mT
    if score == "general":
        return query @ w_score @ key.mT
    if score == "location":
        scores = query @ w_score[:, :n]  # type: ignore[index]
        batch = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
        return np.broadcast_to(scores, (*batch, *scores.shape[-2:])).copy()
    if score == "concat":
        w_query, w_key = w_score[:p], w_score[p:]  # type: ignore[index]
    hidden = (query @ w_query)[..., :, None, :] + (key @ w_key)[..., None, :, :]  # (..., m, n, a)
    if score == "additive" and b_query is not None:
        hidden = hidden + b_query
    return np.tanh(hidden) @ v
