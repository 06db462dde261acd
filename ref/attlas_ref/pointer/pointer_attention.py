r"""Pointer attention: the weights are the answer.

Attention usually ends in a mixture of values. A pointer network stops before that: its weights over the positions of
the input say which position comes next in the output. So it can name the elements of any input, however long (the
corners of a polygon, the cities of a tour, the words of a text), where a softmax over a fixed list of classes could
not.

In the letters of the paper $d_i$ is the state of the decoder (`query`), $e_j$ the encoding of position j (`key`), and

$$u_{ij} = v^\top \tanh(W_1 e_j + W_2 d_i), \qquad p(C_i = j \mid C_1, \dots, C_{i-1}) = \mathrm{softmax}_j(u_{ij}).$$

$W_2$ is `w_query` and $W_1$ is `w_key`, both input-major. This additive score may be replaced by a dot product of the
projections; without the one projection or the other it is a bilinear form, without both the plain dot product.

**Three knobs** stand between the score and the softmax, in this order. `logit_clip` bounds it,
$u \leftarrow C \tanh u$: then no position is ever ruled out for good, $p_{ij} \ge e^{-2C}/n$ at temperature 1, and a
policy that learns from its own samples keeps trying. `temperature` flattens (above 1) or sharpens (below 1). The `mask`
takes out what may not be pointed at, such as the cities that have been visited.

**What to watch for.** Clipping comes before the mask: a mask written into the logits as a large negative number would
be clipped too. Adding a constant to a row changes nothing, but it does where the row is clipped.
"""

import numpy as np

from ..contract import PointerResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..log_space import log_shares
from ..visibility import Booleans, Reals, dot_scores, visible_pairs


@reference
def pointer_attention(
    query: Reals,
    key: Reals,
    *,
    w_query: Reals | None = None,
    w_key: Reals | None = None,
    b_query: Reals | None = None,
    b_key: Reals | None = None,
    v: Reals | None = None,
    score: str = "additive",
    scale: float | None = None,
    logit_clip: float | None = None,
    temperature: float = 1.0,
    mask: Booleans | None = None,
    log: bool = False,
    return_logits: bool = False,
) -> Reals | PointerResult:
    r"""Distribution over the positions that each query may point at.

    $$p_{i\cdot} = \mathrm{softmax}_{V(i)}\bigl(\mathrm{clip}(u_{i\cdot}) / T\bigr), \qquad
      u_{ij} = v \cdot \tanh(q_i W_q + b_q + k_j W_k + b_k) \quad\text{or}\quad
      \mathrm{scale}\,\langle q_i W_q + b_q,\ k_j W_k + b_k\rangle$$

    Parameters
    ----------
    query : (..., m, d_q) real array
        States of a decoder, one per step.
    key : (..., n, d_k) real array
        Encodings of the positions.
    w_query : (d_q, a) real array, optional
        $W_q$; the identity if not given, which a dot score allows.
    w_key : (d_k, a) real array, optional
        $W_k$; the same holds.
    b_query : (a,) real array, optional
        $b_q$; 0 if not given.
    b_key : (a,) real array, optional
        $b_k$; 0 if not given.
    v : (a,) real array, optional
        Weighs the hidden units; the additive score needs it and no other takes it.
    score : {"additive", "dot"}, default "additive"
        How a query and a key are compared.
    scale : float, optional
        Factor of the dot score, which alone takes it; $1/\sqrt a$ if not given.
    logit_clip : float, optional
        C, above 0: clip(u) = C tanh(u). Without it clip(u) = u.
    temperature : float, default 1
        T, above 0.
    mask : (..., m, n) boolean array, optional
        True = may be pointed at.
    log : bool, default False
        Return logarithms, -inf where nothing may be pointed at.
    return_logits : bool, default False
        Return clip(u) / T too.

    Returns
    -------
    p : (..., m, n) array
        Rows sum to 1; zeros for a query that sees no position. With `log` their logarithms.
    logits : (..., m, n) array
        With `return_logits` only: those of hidden positions too.

    Raises
    ------
    ValueError
        If shapes disagree, a width is 0, `score` is unknown, `logit_clip` or `temperature` is not above 0, the additive
        score lacks `w_query`, `w_key` or `v` or is given a `scale`, or the dot score is given `v`.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: (m d_q + n d_k) a for the projections, m n a hyperbolic tangents. This reference holds an (m, n, a) array; an
    engine does not.

    The rows are the weights of `additive_attention`, with a dot score those of `softmax_attention`; a temperature near
    0 makes them the choice of `hard_attention`. `pointer_glimpse` reads before pointing, `pointer_network_log_prob` and
    `pointer_network_decode` point step after step, and `copy_mixture` mixes pointing with a vocabulary.

    References
    ----------
    Vinyals, Fortunato & Jaitly, "Pointer Networks", 2015, arXiv 1506.03134, eq. (3). Bello, Pham, Le, Norouzi & Bengio,
    "Neural Combinatorial Optimization with Reinforcement Learning", 2016, arXiv 1611.09940 (clip and temperature).

    Examples
    --------
    Three positions; the second has been visited. Clipping keeps the last one in the game:

    >>> import numpy as np
    >>> query, key = np.array([[1.0]]), np.array([[9.0], [5.0], [1.0]])
    >>> free = np.array([[True, False, True]])
    >>> pointer_attention(query, key, score="dot", mask=free).round(3)
    array([[1., 0., 0.]])
    >>> pointer_attention(query, key, score="dot", mask=free, logit_clip=2.0).round(3)
    array([[0.617, 0.   , 0.383]])
    """
    visible = visible_pairs(query, key, mask, causal=False)
    asks = _projected(query, w_query, b_query)  # (..., m, a)
    offers = _projected(key, w_key, b_key)  # (..., n, a)
    if score == "additive":
        hidden = np.tanh(asks[..., :, None, :] + offers[..., None, :, :])  # (..., m, n, a)
        logits = hidden @ v
    else:
        logits = dot_scores(asks, offers, scale, None)  # (..., m, n)
    if logit_clip is not None:
        logits = logit_clip * np.tanh(logits)
    logits = logits / temperature

    p = log_shares(logits, visible) if log else softmax_weights(logits, visible)
    return PointerResult(p, logits) if return_logits else p


def _projected(x: Reals, weight: Reals | None, bias: Reals | None) -> Reals:
    x = x if weight is None else x @ weight
    return x if bias is None else x + bias
