r"""Tensor attention: a query attends to pairs, triples, p-tuples of tokens.

Softmax attention asks of every token how well it fits the query. Some questions are about two tokens at once: is there
a pair that, together with me, sums to zero? Tensor attention scores every *tuple* of tokens, one from each of p key
sets, and lets one softmax run over all tuples together.

In the letters of Alman and Song, for p = 2: $D^{-1} \exp(Q (K_1 \oslash K_2)^\top)\,(V_1 \oslash V_2)$, with $Q$ =
`query`, $K_r$ = `keys`[r], $V_r$ = `values`[r], and $\oslash$ the Khatri-Rao product (`khatri_rao`): the key of a pair
is the elementwise product of two keys, its value that of two values. So nothing is new but the rows: **it is softmax
attention to products of rows**, and every theorem on softmax attention holds.

**Who sees which tuple.** A mask speaks of tuples: it has p axes for the keys. `causal` shows a tuple if none of its
members lies in the query's future; `windows` keeps member r within the last $w_r$ positions, that of the query
included.

**The streaming form** never holds the cube of weights. For p = 2 and one query the scores with all pairs are a matrix
product, $T = (q_i \odot K_1)\, K_2^\top$, and so is the output: with $P = e^{T - M}$ it is $\sum_{j} v_{1j} \odot
(P V_2)_j$ divided by the sum of $P$. An engine goes through blocks of $j$ with a running maximum and sum.

**Scores that factorize.** With `score="sum"` the exponential of a sum is a product, and the output is exactly the
product of p softmax attentions. With `score="strassen"`, $e^{q k_1 + q k_2 + k_1 k_2}$ is a product over the three
sides of a triangle, and matrix products of size $n^2$ do the work of the cube.

**Watch out.** The factor $1/d$ that theory papers put into the exponent is `scale`; ours defaults to $1/\sqrt d$. A
product of p keys is a polynomial of degree p: where keys are large, scores are far larger.
"""

import math

import numpy as np

from ..contract import AttentionResult, TensorAttentionVJP, formula, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..dotproduct.softmax_attention_vjp import softmax_attention_vjp, sum_to_shape
from ..visibility import Booleans, Reals, dot_scores, weighted_sum
from .khatri_rao import khatri_rao, khatri_rao_grads


@reference
def tensor_attention(
    query: Reals,
    keys: tuple[Reals, ...],
    values: tuple[Reals, ...],
    *,
    scale: float | None = None,
    mask: Booleans | None = None,
    causal: bool = False,
    windows: tuple[int, ...] | None = None,
    score: str = "product",
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Order-p attention: one softmax over all p-tuples of keys.

    $$\mathrm{out}_{ic} = \sum_{(j_1, \dots, j_p) \in V(i)} w_{i j_1 \dots j_p} \prod_r v^r_{j_r c}, \qquad
      w = \mathrm{softmax}_{(j_1, \dots, j_p)}\, s, \qquad
      s_{i j_1 \dots j_p} = \mathrm{scale} \sum_c q_{ic} \prod_r k^r_{j_r c}$$

    where $V(i)$ holds the tuples that query i may see.

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    keys : tuple of p (..., n_r, d) real arrays
        One set of keys per member of a tuple.
    values : tuple of p (..., n_r, e) real arrays
        One set of values per member; the unit of the output is the product of their units.
    scale : float, optional
        Factor of the products; $1/\sqrt d$ if not given.
    mask : (..., m, n_1, ..., n_p) boolean array, optional
        True = may attend to this tuple. Anything that broadcasts to this shape will do.
    causal : bool, default False
        Show a tuple iff j_r <= i + n_r - m for every member.
    windows : tuple of p int, optional
        At least 1 each: show it iff, besides, j_r > i + n_r - m - windows[r]. Implies `causal`.
    score : {"product", "sum", "strassen"}, default "product"
        "product" as above; "sum": $\mathrm{scale} \sum_r \langle q, k^r \rangle$; "strassen", for p = 2 alone:
        $\mathrm{scale}\,(\langle q, k^1 \rangle + \langle q, k^2 \rangle + \langle k^1, k^2 \rangle)$.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query that sees no tuple.
    weights : (..., m, n_1, ..., n_p) array
        With `return_weights` only: those of a query sum to 1, or to 0 where nothing is visible.

    Raises
    ------
    ValueError
        If `keys` is empty or `values` has another number of arrays, shapes disagree, `windows` has another length or
        an entry below 1, `score` is unknown, or "strassen" with p != 2; with `return_weights`, if the weights would not
        fit into memory.
    TypeError
        If `keys` or `values` is not a tuple, an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: 2 m n_1 ⋯ n_p (d + e) operations; this reference holds the (m, n_1, ..., n_p) weights, an engine one block of
    them. With windows, m w_1 ⋯ w_p (d + e). No exact algorithm is much faster for large entries, unless SETH fails.

    Neighbors: with p = 1 this is `softmax_attention`; `simplicial_attention` is p = 2 with biases and a determinant,
    `tri_directional_attention` lets the three sets of p = 2 take turns as queries, `tensor_attention_lowrank` is a fast
    approximation for small entries, `match3_construction` a task that needs it.

    References
    ----------
    Alman & Song, "How to Capture Higher-order Correlations? Generalizing Matrix Softmax Attention to Kronecker
    Computation", 2023, arXiv 2310.04064.
    Sanford, Hsu & Telgarsky, "Representational Strengths and Limitations of Transformers", 2023, arXiv 2306.02896.
    Clift, Doryn, Murfet & Wallbridge, "Logic and the 2-Simplicial Transformer", 2019, arXiv 1909.00668.

    Examples
    --------
    A query that looks for two vectors with a large product in its channel takes the product of their values:

    >>> import numpy as np
    >>> key = np.array([[3.0, 0.0], [0.0, 3.0], [-3.0, 0.0]])
    >>> value = np.array([[2.0], [3.0], [5.0]])
    >>> output, weights = tensor_attention(np.array([[1.0, 0.0]]), (key, key), (value, value), return_weights=True)
    >>> weights[0].round(2)
    array([[0.5, 0. , 0. ],
           [0. , 0. , 0. ],
           [0. , 0. , 0.5]])
    >>> output.round(2)
    array([[14.48]])

    With the score a sum, the members of a pair are chosen one by one, and products factorize:

    >>> tensor_attention(np.array([[1.0, 0.0]]), (key, key), (value, value), score="sum").round(2)
    array([[4.6]])
    """
    sizes = tuple(key.shape[-2] for key in keys)
    visible = visible_tuples(query.shape[-2], sizes, mask, causal, windows)  # (..., m, n_1 ... n_p)
    scores = tuple_scores(query, keys, scale, score)  # (..., m, n_1 ... n_p)
    weights = softmax_weights(scores, visible)
    output = weighted_sum(weights, formula(khatri_rao)(values), visible)  # (..., m, e)
    return AttentionResult(output, weights.reshape(*weights.shape[:-1], *sizes)) if return_weights else output


@reference
def tensor_attention_vjp(
    query: Reals,
    keys: tuple[Reals, ...],
    values: tuple[Reals, ...],
    grad_output: Reals,
    *,
    scale: float | None = None,
    mask: Booleans | None = None,
    causal: bool = False,
    windows: tuple[int, ...] | None = None,
) -> TensorAttentionVJP:
    r"""Gradients of sum(tensor_attention(...) * grad_output), with the score "product".

    With $J = (j_1, \dots, j_p)$ and $G_{iJ} = \sum_c g_{ic} \prod_r v^r_{j_r c}$,

    $$ds_{iJ} = w_{iJ} \Bigl(G_{iJ} - \sum_{J'} w_{iJ'} G_{iJ'}\Bigr), \qquad
      dq_i = \mathrm{scale} \sum_J ds_{iJ} \bigodot_r k^r_{j_r},$$

    $$dk^r_j = \mathrm{scale} \sum_{i,\, J:\, j_r = j} ds_{iJ}\, q_i \odot \bigodot_{s \ne r} k^s_{j_s}, \qquad
      dv^r_j = \sum_{i,\, J:\, j_r = j} w_{iJ}\, g_i \odot \bigodot_{s \ne r} v^s_{j_s}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    keys : tuple of p (..., n_r, d) real arrays
        One set of keys per member of a tuple.
    values : tuple of p (..., n_r, e) real arrays
        One set of values per member.
    grad_output : (..., m, e) real array
        g, the gradient with respect to the output, in units of loss per unit of output.
    scale : float, optional
        Factor of the products; $1/\sqrt d$ if not given.
    mask : (..., m, n_1, ..., n_p) boolean array, optional
        True = may attend to this tuple.
    causal : bool, default False
        Show a tuple iff j_r <= i + n_r - m for every member.
    windows : tuple of p int, optional
        At least 1 each: show it iff, besides, j_r > i + n_r - m - windows[r].

    Returns
    -------
    grad_query : (..., m, d) array
        In the shape of `query`.
    grad_keys : tuple of p (..., n_r, d) arrays
        Each in the shape of its array: summed over the axes along which that was broadcast.
    grad_values : tuple of p (..., n_r, e) arrays
        Likewise.

    Raises
    ------
    ValueError, TypeError
        As `tensor_attention`; ValueError if the shape of `grad_output` is not that of the output.

    Notes
    -----
    Cost: about three times the forward. An engine recomputes the weights from each query's log-sum-exp and keeps no
    cube. Hidden tuples send exactly 0. Multiplying channel c of one key set and dividing that of another changes no
    score, so $\sum_j k^r_{jc}\, dk^r_{jc}$ is the same for every r.

    With p = 1 this is `softmax_attention_vjp`.

    References
    ----------
    Alman & Song, "How to Capture Higher-order Correlations? Generalizing Matrix Softmax Attention to Kronecker
    Computation", 2023, arXiv 2310.04064.
    Liang, Shi, Song & Zhou, "Tensor Attention Training: Provably Efficient Learning of Higher-order Transformers",
    2024, arXiv 2405.16411.

    Examples
    --------
    The gradient agrees with a finite difference:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> q, k1, k2, v1, v2, g = (rng.normal(size=(3, 2)) for _ in range(6))
    >>> step = np.zeros((3, 2))
    >>> step[1, 0] = 1e-6
    >>> up, down = (tensor_attention(q, (k1, k2 + sign * step), (v1, v2)) for sign in (1, -1))
    >>> grads = tensor_attention_vjp(q, (k1, k2), (v1, v2), g)
    >>> bool(np.isclose(((up - down) * g).sum() / 2e-6, grads.grad_keys[1][1, 0]))
    True
    """
    sizes = tuple(key.shape[-2] for key in keys)
    visible = visible_tuples(query.shape[-2], sizes, mask, causal, windows)
    # First the gradients of the rows that softmax attention sees, then the product rule.
    rows = formula(softmax_attention_vjp)(
        query, formula(khatri_rao)(keys), formula(khatri_rao)(values), grad_output, scale=scale, mask=visible
    )
    grad_keys = khatri_rao_grads(keys, rows.grad_key, visible)
    grad_values = khatri_rao_grads(values, rows.grad_value, visible)
    return TensorAttentionVJP(
        rows.grad_query,
        tuple(sum_to_shape(grad, key.shape) for grad, key in zip(grad_keys, keys, strict=True)),
        tuple(sum_to_shape(grad, value.shape) for grad, value in zip(grad_values, values, strict=True)),
    )


def visible_tuples(
    m: int, sizes: tuple[int, ...], mask: Booleans | None, causal: bool, windows: tuple[int, ...] | None
) -> Booleans:
    """Return which query sees which tuple, the tuples in one line: broadcastable to (..., m, n_1 ⋯ n_p).

    Examples
    --------
    >>> visible_tuples(2, (2, 2), None, causal=True, windows=(1, 2)).astype(int)
    array([[1, 0, 0, 0],
           [0, 0, 1, 1]])
    """
    visible = np.ones((m, *sizes), dtype=bool)
    for r, n in enumerate(sizes):
        i, j = np.arange(m)[:, None], np.arange(n)
        seen = np.ones((m, n), dtype=bool)
        if causal or windows is not None:
            seen &= j <= i + n - m
        if windows is not None:
            seen &= j > i + n - m - min(windows[r], m + n)  # more says nothing new and may not fit an integer
        visible &= seen.reshape(m, *(n if axis == r else 1 for axis in range(len(sizes))))
    if mask is not None:
        visible = visible & mask
    return visible.reshape(*visible.shape[: -1 - len(sizes)], m, math.prod(sizes))


def tuple_scores(query: Reals, keys: tuple[Reals, ...], scale: float | None, score: str = "product") -> Reals:
    """Return the scores of all tuples in one line, (..., m, n_1 ⋯ n_p).

    Examples
    --------
    >>> one, two = np.array([[1.0], [2.0]]), np.array([[3.0], [5.0]])
    >>> [tuple_scores(np.array([[10.0]]), (one, two), None, score).tolist() for score in ("product", "sum", "strassen")]
    [[[30.0, 50.0, 60.0, 100.0]], [[40.0, 60.0, 50.0, 70.0]], [[43.0, 65.0, 56.0, 80.0]]]
    """
    if score == "product":
        return dot_scores(query, formula(khatri_rao)(keys), scale, None)
    scores = dot_scores(query, keys[0], scale, None)
    for key in keys[1:]:
        pairs = scores[..., :, None] + dot_scores(query, key, scale, None)[..., None, :]
        scores = pairs.reshape(*pairs.shape[:-2], math.prod(pairs.shape[-2:]))
    if score == "strassen":
        among = dot_scores(keys[0], keys[1], scale, None)  # (..., n_1, n_2)
        scores = scores + among.reshape(*among.shape[:-2], 1, math.prod(among.shape[-2:]))
    return scores
