r"""2-simplicial attention: triangles of tokens.

A query and a key make an edge, the picture behind softmax attention. A query and two keys make a triangle, a
2-simplex. Clift et al. let tokens attend along triangles; Roy et al. found that such layers learn more per token of
text, and made them fast with a window for each of the two keys.

$$s_{ijk} = \mathrm{scale} \sum_c q_{ic}\, k_{1,jc}\, (k_{2,kc} + b_k), \qquad
  \mathrm{out}_{ic} = \sum_{jk} w_{ijk}\, v_{1,jc}\, (v_{2,kc} + b_v)$$

with $k_1, k_2$ = `key1`, `key2`, $v_1, v_2$ = `value1`, `value2`, $b_k$ = `key2_bias`, $b_v$ = `value2_bias`. It is
`tensor_attention` of order 2.

**The biases** let a layer start as ordinary attention. With `key2` = 0, `value2` = 0 and $b_v = 1$ the third corner is
felt no more: the score is $b_k \langle q, k_1 \rangle$, the value $v_1$. Meta's kernel defaults to $b_k = 1/d$ and $b_v
= 1$; ours to none.

**The determinant.** Rotate all tokens and a trilinear product changes, while a dot product does not. A determinant of
three vectors does not either, so Roy et al. cut the channels into triples and add up determinants:

$$s_{ijk} = \mathrm{scale} \sum_t \det[q_{it}, k_{1,jt}, k_{2,kt}]
  = \mathrm{scale} \sum_t \langle q_{it},\ k_{1,jt} \times k_{2,kt} \rangle.$$

Once more a query meets rows: the key of a pair is the cross product, triple by triple.

**Watch out.** A window of w holds w positions, that of the query included: $i - w < j \le i$.
"""

import math

import numpy as np

from ..contract import AttentionResult, SimplicialAttentionVJP, formula, reference
from ..dotproduct.softmax_attention import softmax_attention
from ..dotproduct.softmax_attention_vjp import softmax_attention_vjp, sum_to_shape
from ..visibility import Booleans, Reals
from .khatri_rao import khatri_rao, khatri_rao_grads, seen_by_anybody
from .tensor_attention import visible_tuples


@reference
def simplicial_attention(
    query: Reals,
    key1: Reals,
    key2: Reals,
    value1: Reals,
    value2: Reals,
    *,
    scale: float | None = None,
    windows: tuple[int, int] | None = None,
    causal: bool = False,
    mask: Booleans | None = None,
    key2_bias: float = 0.0,
    value2_bias: float = 0.0,
    score: str = "product",
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""2-simplicial attention: one softmax over all pairs of keys, with a bias on the second.

    $$\mathrm{out}_{ic} = \sum_{(j,k) \in V(i)} w_{ijk}\, v_{1,jc}\, (v_{2,kc} + b_v), \qquad
      w = \mathrm{softmax}_{(j,k)}\, s, \qquad
      s_{ijk} = \mathrm{scale} \sum_c q_{ic}\, k_{1,jc}\, (k_{2,kc} + b_k)$$

    where $V(i)$ holds the pairs that query i may see.

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key1 : (..., n_1, d) real array
        Keys of the first members.
    key2 : (..., n_2, d) real array
        Keys of the second members.
    value1 : (..., n_1, e) real array
        Values of the first members.
    value2 : (..., n_2, e) real array
        Values of the second members.
    scale : float, optional
        Factor of the products; $1/\sqrt d$ if not given.
    windows : pair of int, optional
        At least 1 each: show a pair iff i + n_r - m - windows[r] < j_r <= i + n_r - m for both. Implies `causal`. Roy
        et al. use (512, 32).
    causal : bool, default False
        Show a pair iff j_r <= i + n_r - m for both.
    mask : (..., m, n_1, n_2) boolean array, optional
        True = may attend to this pair.
    key2_bias : float, default 0
        $b_k$, added to every entry of `key2`.
    value2_bias : float, default 0
        $b_v$, added to every entry of `value2`.
    score : {"product", "determinant"}, default "product"
        "determinant" sums the determinants of consecutive triples of channels; d must be a multiple of 3.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query that sees no pair.
    weights : (..., m, n_1, n_2) array
        With `return_weights` only: those of a query sum to 1, or to 0 where nothing is visible.

    Raises
    ------
    ValueError
        If shapes disagree, `windows` has not two entries of at least 1, `score` is unknown, or d is no multiple of 3
        for the determinant; with `return_weights`, if the weights would not fit into memory.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: 2 m n_1 n_2 (d + e) operations, with windows m w_1 w_2 (d + e); this reference holds the (m, n_1, n_2)
    weights, an engine one block of them.

    Neighbors: the product is `tensor_attention` with p = 2. With `key2` = `value2` = 0 and `value2_bias` = 1 it is
    `softmax_attention` at the scale of scale times `key2_bias`.

    References
    ----------
    Clift, Doryn, Murfet & Wallbridge, "Logic and the 2-Simplicial Transformer", 2019, arXiv 1909.00668.
    Roy, Chou, Duvvuri et al., "Fast and Simplex: 2-Simplicial Attention in Triton", 2025, arXiv 2507.02754, eq. (8).

    Examples
    --------
    Three orthogonal vectors span a right-handed triangle with the query in one order and a left-handed in the other:

    >>> import numpy as np
    >>> x, y, z = np.eye(3)
    >>> keys = 2 * np.array([y, z])
    >>> weights = simplicial_attention(
    ...     x[None], keys, keys, np.ones((2, 1)), np.ones((2, 1)), scale=1.0, score="determinant", return_weights=True
    ... ).weights
    >>> weights[0].round(2)
    array([[0.02, 0.96],
           [0.  , 0.02]])
    """
    keys, values = (key1, key2 + key2_bias), (value1, value2 + value2_bias)
    sizes = (key1.shape[-2], key2.shape[-2])
    visible = visible_tuples(query.shape[-2], sizes, mask, causal, windows)  # (..., m, n_1 n_2)
    rows = formula(khatri_rao)(keys) if score == "product" else cross_rows(*keys)  # (..., n_1 n_2, d)
    result = formula(softmax_attention)(
        query, rows, formula(khatri_rao)(values), scale=scale, mask=visible, return_weights=True
    )
    output, weights = result
    return AttentionResult(output, weights.reshape(*weights.shape[:-1], *sizes)) if return_weights else output


@reference
def simplicial_attention_vjp(
    query: Reals,
    key1: Reals,
    key2: Reals,
    value1: Reals,
    value2: Reals,
    grad_output: Reals,
    *,
    scale: float | None = None,
    windows: tuple[int, int] | None = None,
    causal: bool = False,
    mask: Booleans | None = None,
    key2_bias: float = 0.0,
    value2_bias: float = 0.0,
    score: str = "product",
) -> SimplicialAttentionVJP:
    r"""Gradients of sum(simplicial_attention(...) * grad_output).

    With $K = k_2 + b_k$, $V = v_2 + b_v$ and $G_{ijk} = \sum_c g_{ic}\, v_{1,jc} V_{kc}$,

    $$ds = w \odot \Bigl(G - \sum_{jk} w \odot G\Bigr), \qquad
      dq_i = \mathrm{scale} \sum_{jk} ds_{ijk}\, k_{1,j} \odot K_k,$$

    $$dk_{1,j} = \mathrm{scale} \sum_{ik} ds_{ijk}\, q_i \odot K_k, \qquad
      dk_{2,k} = \mathrm{scale} \sum_{ij} ds_{ijk}\, q_i \odot k_{1,j},$$

    $$dv_{1,j} = \sum_{ik} w_{ijk}\, g_i \odot V_k, \qquad dv_{2,k} = \sum_{ij} w_{ijk}\, g_i \odot v_{1,j}$$

    and for the determinant, per triple, $dq = k_1 \times K$, $dk_1 = K \times q$, $dk_2 = q \times k_1$ in place of the
    products of the other two.

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key1 : (..., n_1, d) real array
        Keys of the first members.
    key2 : (..., n_2, d) real array
        Keys of the second members.
    value1 : (..., n_1, e) real array
        Values of the first members.
    value2 : (..., n_2, e) real array
        Values of the second members.
    grad_output : (..., m, e) real array
        g, the gradient with respect to the output, in units of loss per unit of output.
    scale : float, optional
        Factor of the products; $1/\sqrt d$ if not given.
    windows : pair of int, optional
        At least 1 each: i + n_r - m - windows[r] < j_r <= i + n_r - m.
    causal : bool, default False
        Show a pair iff j_r <= i + n_r - m for both.
    mask : (..., m, n_1, n_2) boolean array, optional
        True = may attend to this pair.
    key2_bias : float, default 0
        $b_k$, added to every entry of `key2`.
    value2_bias : float, default 0
        $b_v$, added to every entry of `value2`.
    score : {"product", "determinant"}, default "product"
        As for `simplicial_attention`.

    Returns
    -------
    grad_query, grad_key1, grad_key2, grad_value1, grad_value2 : arrays
        Each in the shape of its argument: summed over the axes along which that argument was broadcast.

    Raises
    ------
    ValueError, TypeError
        As `simplicial_attention`; ValueError if the shape of `grad_output` is not that of the output.

    Notes
    -----
    Cost: about three times the forward. Hidden pairs send exactly 0, and ds of a query sums to 0. With the score
    "product" it is `tensor_attention_vjp` with p = 2.

    References
    ----------
    Roy, Chou, Duvvuri et al., "Fast and Simplex: 2-Simplicial Attention in Triton", 2025, arXiv 2507.02754.

    Examples
    --------
    A query cannot raise its determinants by growing along a key that both sides share, only across the pair:

    >>> import numpy as np
    >>> x, y, z = np.eye(3)
    >>> grads = simplicial_attention_vjp(
    ...     x[None],
    ...     np.array([y]),
    ...     np.array([y, z]),
    ...     np.ones((1, 1)),
    ...     np.array([[0.0], [1.0]]),
    ...     np.ones((1, 1)),
    ...     scale=1.0,
    ...     score="determinant",
    ... )
    >>> grads.grad_query.round(2)
    array([[0.2, 0. , 0. ]])
    """
    keys, values = (key1, key2 + key2_bias), (value1, value2 + value2_bias)
    visible = visible_tuples(query.shape[-2], (key1.shape[-2], key2.shape[-2]), mask, causal, windows)
    rows = formula(khatri_rao)(keys) if score == "product" else cross_rows(*keys)
    grads = formula(softmax_attention_vjp)(
        query, rows, formula(khatri_rao)(values), grad_output, scale=scale, mask=visible
    )
    back = khatri_rao_grads if score == "product" else _cross_grads
    grad_key1, grad_key2 = back(keys, grads.grad_key, visible)
    grad_value1, grad_value2 = khatri_rao_grads(values, grads.grad_value, visible)
    return SimplicialAttentionVJP(
        grads.grad_query,
        sum_to_shape(grad_key1, key1.shape),
        sum_to_shape(grad_key2, key2.shape),
        sum_to_shape(grad_value1, value1.shape),
        sum_to_shape(grad_value2, value2.shape),
    )


def cross(a: Reals, b: Reals) -> Reals:
    """Return the cross products of consecutive triples of channels.

    >>> cross(np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])).tolist()
    [0.0, 0.0, 1.0]
    """
    a, b = (x.reshape(*x.shape[:-1], x.shape[-1] // 3, 3) for x in (a, b))
    # (a × b)_1 = a_2 b_3 - a_3 b_2 and so on around the circle.
    product = np.roll(a, -1, -1) * np.roll(b, -2, -1) - np.roll(a, -2, -1) * np.roll(b, -1, -1)
    return product.reshape(*product.shape[:-2], 3 * product.shape[-2])


def cross_rows(key1: Reals, key2: Reals) -> Reals:
    """Return the cross product of every row of one with every row of the other, (..., n_1 n_2, d)."""
    pairs = cross(key1[..., :, None, :], key2[..., None, :, :])  # (..., n_1, n_2, d)
    return pairs.reshape(*pairs.shape[:-3], math.prod(pairs.shape[-3:-1]), pairs.shape[-1])


def _cross_grads(keys: tuple[Reals, Reals], grad_rows: Reals, visible: Booleans) -> tuple[Reals, Reals]:
    """Return the gradients of both factors of `cross_rows`: g·(a × b) has the slopes b × g and g × a."""
    key1, key2 = keys[0][..., :, None, :], keys[1][..., None, :, :]
    sizes = (keys[0].shape[-2], keys[1].shape[-2])

    def cube(rows: Reals) -> Reals:
        return rows.reshape(*rows.shape[:-2], *sizes, rows.shape[-1])

    grad_rows, used = cube(grad_rows), cube(seen_by_anybody(visible, grad_rows))
    grad_key1 = np.where(used, cross(key2, grad_rows), 0).sum(axis=-2)
    grad_key2 = np.where(used, cross(grad_rows, key1), 0).sum(axis=-3)
    return grad_key1, grad_key2
