r"""Fastmax: attention with a polynomial in place of the exponential.

A softmax needs every pair, since $e^{\langle q, k \rangle}$ is not a sum of products of a function of $q$ and a
function of $k$, at least not of finitely many. A polynomial is. Cut the exponential series off after order $p$,

$$f_p(s) = \sum_{l=0}^{p} \frac{s^l}{l!}, \qquad w_{ij} = \frac{f_p(s_{ij})}{\sum_l f_p(s_{il})}, \qquad
  s_{ij} = \mathrm{scale}\,\langle q_i, k_j \rangle,$$

and attention costs a number of steps that is linear in the number of tokens.

**Why.** With one feature per monomial of degree at most p, $\phi_a(x) = \sqrt{\mathrm{scale}^{|a|}/a!}\; x^a$ for the
multi-indices $|a| \le p$, the multinomial theorem says $f_p(s_{ij}) = \langle \phi(q_i), \phi(k_j) \rangle$. So

$$\mathrm{out}_i = \frac{\phi(q_i)\,\bigl(\phi(K)^\top V\bigr)}{\phi(q_i)\,\bigl(\phi(K)^\top 1\bigr)},$$

and both brackets are sums over the keys that all queries share; with `causal` they are prefix sums. There are
$\binom{d+p}{p}$ monomials. This reference is the definition; engines compute the factorized form.

**Watch out.** For even p the polynomial is positive ($f_2 = ((1 + s)^2 + 1)/2$), for odd p it is not: weights may be
negative and their sum near 0. And $f_p$ grows like a power, so a large score wins by far less than in a softmax.

**Conventions that differ.** The authors' code divides the scores by $8\sqrt d$, or by nothing after normalization, and
has two normalizations: over tokens (`score_function.py`) and over features (the einops file). Which of them is the
paper's could not be verified. Both look at all tokens, so with `causal` they let the future in.
"""

import numpy as np

from ..contract import AttentionResult, AttentionVJP, reference
from ..dotproduct.softmax_attention_vjp import sum_to_shape
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def fastmax_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    order: int = 2,
    scale: float | None = None,
    causal: bool = False,
    key_mask: Booleans | None = None,
    normalize: str | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention whose weights are a truncated exponential of the scores, divided by its sum.

    $$\mathrm{out}_i = \frac{\sum_{j \in V(i)} f_p(s_{ij})\, v_j}{\sum_{j \in V(i)} f_p(s_{ij})}, \qquad
      f_p(s) = \sum_{l=0}^{p} \frac{s^l}{l!}, \qquad s_{ij} = \mathrm{scale}\,\langle q_i, k_j \rangle$$

    where $V(i)$ holds the keys that query i may see.

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    order : int, default 2
        p, at least 0.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.
    key_mask : (..., n) boolean array, optional
        True = may be attended to.
    normalize : {"token_mean_max_norm", "feature_mean_max_norm"}, optional
        Of query and key, each by itself: subtract the mean over the tokens, or over the features, and divide by the
        largest Euclidean norm of a token. Keys that are masked count for neither. Tokens that are all equal become 0.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query that sees no key.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is visible.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, `order` is below 0, or `normalize` is unknown.
    TypeError
        If an array is complex, an object or text, `order` is not whole, or `key_mask` is not boolean.

    Notes
    -----
    Cost: factorized O((m + n) r e) operations and O(r e) memory with r = C(d + p, p) monomials; this reference m n (d +
    e). It pays where n exceeds r.

    With order 0 it is the mean of the values, with order to infinity `softmax_attention`: where |s| <= S each kernel
    value has a relative error of at most e^S S^(p+1) / (p+1)!. `tensor_attention_lowrank` does the same for tuples.
    With an odd order a denominator may be near 0, and the output large.

    References
    ----------
    Gerami, Hoover, Dulepet & Duraiswami, "FAST: Factorizable Attention for Speeding up Transformers", 2024,
    arXiv 2402.07901.

    Examples
    --------
    The higher the order, the nearer to softmax:

    >>> import numpy as np
    >>> key, value = np.array([[0.0], [2.0]]), np.array([[0.0], [1.0]])
    >>> [float(fastmax_attention(np.ones((1, 1)), key, value, order=p).round(3)[0, 0]) for p in (0, 1, 2, 4, 8)]
    [0.5, 0.75, 0.833, 0.875, 0.881]
    """
    if normalize is not None:
        query, key = _normalized(query, normalize, None), _normalized(key, normalize, key_mask)
    visible = visible_pairs(query, key, None if key_mask is None else key_mask[..., None, :], causal)
    weights = _weights(dot_scores(query, key, scale, None), visible, order)[0]
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output


@reference
def fastmax_attention_vjp(
    query: Reals,
    key: Reals,
    value: Reals,
    grad_output: Reals,
    *,
    order: int = 2,
    scale: float | None = None,
    causal: bool = False,
    key_mask: Booleans | None = None,
) -> AttentionVJP:
    r"""Gradients of sum(fastmax_attention(...) * grad_output), without normalization.

    The slope of a truncated exponential is the next shorter one, $f_p' = f_{p-1}$ with $f_{-1} = 0$:

    $$ds_{ij} = \frac{f_{p-1}(s_{ij})}{\sum_{l \in V(i)} f_p(s_{il})}\,
      \bigl(\langle g_i, v_j \rangle - \langle g_i, \mathrm{out}_i \rangle\bigr), \quad
      dq_i = \mathrm{scale} \sum_j ds_{ij} k_j, \quad dk_j = \mathrm{scale} \sum_i ds_{ij} q_i, \quad
      dv_j = \sum_i w_{ij} g_i$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    grad_output : (..., m, e) real array
        g, the gradient with respect to the output, in units of loss per unit of output.
    order : int, default 2
        p, at least 0.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.
    key_mask : (..., n) boolean array, optional
        True = may be attended to.

    Returns
    -------
    grad_query, grad_key, grad_value : arrays
        Each in the shape of its argument: summed over the axes along which that argument was broadcast.

    Raises
    ------
    ValueError, TypeError
        As `fastmax_attention`; ValueError if the shape of `grad_output` is not that of the output.

    Notes
    -----
    Cost: factorized O((m + n) r e) as the forward. Hidden pairs get exactly 0. Order 0 knows nothing of queries and
    keys; order to infinity is `softmax_attention_vjp`.

    References
    ----------
    Gerami, Hoover, Dulepet & Duraiswami, "FAST: Factorizable Attention for Speeding up Transformers", 2024,
    arXiv 2402.07901.

    Examples
    --------
    With order 1 and values 0 and 1 the output is (1 + 2q) / (2 + 2q), whose slope at q = 1 is 1/8:

    >>> import numpy as np
    >>> key, value = np.array([[0.0], [2.0]]), np.array([[0.0], [1.0]])
    >>> fastmax_attention_vjp(np.ones((1, 1)), key, value, np.ones((1, 1)), order=1).grad_query
    array([[0.125]])
    """
    visible = visible_pairs(query, key, None if key_mask is None else key_mask[..., None, :], causal)
    scores = dot_scores(query, key, scale, None)
    weights, total = _weights(scores, visible, order)  # (..., m, n), (..., m, 1)
    factor = 1 / float(np.sqrt(query.shape[-1])) if scale is None else scale

    grad_weights = np.where(visible, grad_output @ value.mT, 0)  # <g_i, v_j>, (..., m, n)
    mean = (weights * grad_weights).sum(axis=-1, keepdims=True)  # <g_i, out_i>
    slope = truncated_exp(scores, order - 1) / total
    grad_scores = np.where(visible, slope * (grad_weights - mean), 0)

    return AttentionVJP(
        sum_to_shape(factor * weighted_sum(grad_scores, key, visible), query.shape),
        sum_to_shape(factor * weighted_sum(grad_scores.mT, query, visible.mT), key.shape),
        sum_to_shape(weighted_sum(weights.mT, grad_output, visible.mT), value.shape),
    )


def truncated_exp(scores: Reals, order: int) -> Reals:
    r"""Return $f_p(s) = \sum_{l \le p} s^l / l!$, by Horner's rule; 0 for p = -1.

    >>> truncated_exp(np.array([0.0, 1.0, 2.0]), 2).tolist()
    [1.0, 2.5, 5.0]
    """
    total = np.zeros_like(scores) if order < 0 else np.ones_like(scores)
    for l in range(order, 0, -1):  # noqa: E741 (the letter of the formula)
        total = 1 + scores / l * total
    return total


def _weights(scores: Reals, visible: Booleans, order: int) -> tuple[Reals, Reals]:
    """Return the weights, 0 where a query does not see a key, and the sum that they were divided by."""
    kernel = np.where(visible, truncated_exp(scores, order), 0)
    total = np.where(visible.any(axis=-1, keepdims=True), kernel.sum(axis=-1, keepdims=True), 1)
    return np.where(visible, kernel / total, 0), total


def _normalized(tokens: Reals, how: str, allowed: Booleans | None) -> Reals:
    """Subtract a mean and divide by the largest norm, (..., n, d)."""
    allowed = np.ones(1, dtype=bool) if allowed is None else allowed
    use = np.broadcast_to(allowed, (*allowed.shape[:-1], tokens.shape[-2]))[..., None]  # (..., n, 1)
    kept = np.where(use, tokens, 0)
    if how == "token_mean_max_norm":
        count = np.maximum(use.sum(axis=-2, keepdims=True), 1)
        centered = tokens - kept.sum(axis=-2, keepdims=True) / count.astype(tokens.dtype)
    else:
        centered = tokens - tokens.sum(axis=-1, keepdims=True) / tokens.shape[-1]
    norm = np.sqrt((np.where(use, centered, 0) ** 2).sum(axis=-1, keepdims=True))  # (..., n, 1)
    largest = norm.max(axis=-2, keepdims=True, initial=0)
    return centered / np.where(largest == 0, 1, largest)
