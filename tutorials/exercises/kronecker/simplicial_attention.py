# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: simplicial_attention
#   options: [scale, causal]
#   lines: 12
#   minutes: 30
#   points: 3
#   mistakes:
#     two_softmaxes: >-
#       The weights are normalized over one key axis at a time. One softmax runs over all pairs together.
#     one_member_causal: >-
#       Only the first member of a pair is held back. A pair is hidden as soon as either of its members lies in the
#       future.
#     same_offset: >-
#       Both members use the offset of the first set of keys. Each set is aligned at its own last key.
#     values_added: >-
#       The values of a pair are added. The value of a pair is the elementwise product of its two values.
# ---

# %% [markdown]
# # Attention to pairs: third-order attention
#
# Some questions are about two tokens at once: is there a pair that, together with me, sums to zero? Ordinary attention
# scores tokens one by one and cannot ask it. Give it a score with three arguments, one query and two keys,
#
# $$s_{ijk} = \mathrm{scale} \sum_c q_{ic}\, k_{1,jc}\, k_{2,kc},$$
#
# one softmax over all *pairs* (j, k), and a value for each pair:
#
# $$\mathrm{out}_{ic} = \sum_{jk} w_{ijk}\, v_{1,jc}\, v_{2,kc}, \qquad
#   w_{ijk} = \frac{e^{s_{ijk}}}{\sum_{j'k'} e^{s_{ij'k'}}} .$$
#
# A query and two keys are a triangle, a 2-simplex, hence the name. With `causal=True` query i sees a pair iff neither
# of its members lies in the future: $j \le i + n_1 - m$ and $k \le i + n_2 - m$.
#
# **Write** `simplicial_attention(query, key1, key2, value1, value2, *, scale, causal)`: `query` is `(..., m, d)`, the
# keys are `(..., n_1, d)` and `(..., n_2, d)`, the values `(..., n_1, e)` and `(..., n_2, e)`, the result
# `(..., m, e)`. Leading axes broadcast, and the result has the dtype of the arrays. If `scale` is None it is
# $1/\sqrt d$. A query that sees no pair gets zeros, also where there is none. Scores may be as large as 1e4. There is
# no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: the cube of scores</summary>
#
# `np.einsum("...ic,...jc,...kc->...ijk", query, key1, key2)` says the formula as it stands. The output is an einsum as
# well.
#
# </details>
#
# <details><summary>Hint 2: a softmax over two axes</summary>
#
# `max` and `sum` take `axis=(-2, -1)`, with `keepdims=True`.
#
# </details>
#
# <details><summary>Hint 3: who sees which pair</summary>
#
# Two boolean tables, (m, n_1) and (m, n_2). Give the one an axis at the end, the other one in the middle, and combine
# them with `&`. A query that sees no pair has the maximum `-np.inf`; subtract 0 there.
#
# </details>

# %%
import numpy as np


def simplicial_attention(query, key1, key2, value1, value2, *, scale=None, causal=False):
    """Return attention to all pairs of keys, (..., m, e)."""
    ### BEGIN SOLUTION
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = scale * np.einsum("...ic,...jc,...kc->...ijk", query, key1, key2)
    if causal:
        m, n1, n2 = scores.shape[-3:]
        i = np.arange(m)[:, None, None]
        visible = (np.arange(n1)[:, None] <= i + n1 - m) & (np.arange(n2) <= i + n2 - m)  # (m, n_1, n_2)
        scores = np.where(visible, scores, -np.inf)
    largest = scores.max(axis=(-2, -1), keepdims=True, initial=-np.inf)
    weights = np.exp(scores - np.where(largest == -np.inf, 0, largest))
    total = weights.sum(axis=(-2, -1), keepdims=True)
    weights = weights / np.where(total == 0, 1, total)
    return np.einsum("...ijk,...jc,...kc->...ic", weights, value1, value2)
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _weights(query, key1, key2, scale, causal, axes=(-2, -1), both=True, shared=False):
    scale = 1 / np.sqrt(query.shape[-1]) if scale is None else scale
    scores = scale * np.einsum("...ic,...jc,...kc->...ijk", query, key1, key2)
    if causal:
        m, n1, n2 = scores.shape[-3:]
        i = np.arange(m)[:, None, None]
        second = np.arange(n2) <= i + (n1 if shared else n2) - m
        visible = (np.arange(n1)[:, None] <= i + n1 - m) & (second if both else True)
        scores = np.where(visible, scores, -np.inf)
    largest = scores.max(axis=axes, keepdims=True)
    weights = np.exp(scores - np.where(largest == -np.inf, 0, largest))
    total = weights.sum(axis=axes, keepdims=True)
    return weights / np.where(total == 0, 1, total)


def two_softmaxes(query, key1, key2, value1, value2, *, scale=None, causal=False):
    weights = _weights(query, key1, key2, scale, causal, axes=(-1,))
    return np.einsum("...ijk,...jc,...kc->...ic", weights, value1, value2)


def one_member_causal(query, key1, key2, value1, value2, *, scale=None, causal=False):
    weights = _weights(query, key1, key2, scale, causal, both=False)
    return np.einsum("...ijk,...jc,...kc->...ic", weights, value1, value2)


def same_offset(query, key1, key2, value1, value2, *, scale=None, causal=False):
    weights = _weights(query, key1, key2, scale, causal, shared=True)
    return np.einsum("...ijk,...jc,...kc->...ic", weights, value1, value2)


def values_added(query, key1, key2, value1, value2, *, scale=None, causal=False):
    weights = _weights(query, key1, key2, scale, causal)
    return weights.sum(axis=-1) @ value1 + weights.sum(axis=-2) @ value2


### END HIDDEN TESTS
