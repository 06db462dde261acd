# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: softmax_attention
#   options: [mask, causal, scale]
#   lines: 11
#   minutes: 20
#   points: 3
#   mistakes:
#     unscaled: >-
#       The dot products are not scaled: without `scale` the factor is 1/sqrt(d), d being the width of the queries.
#     over_queries: >-
#       The softmax runs over the queries. Each query has weights of its own, so it runs over the keys, the last axis.
#     top_left_causal: >-
#       The causal mask is aligned at the first key. The last query must see the last key.
#     strictly_causal: >-
#       The causal mask hides one key too many. Query i also sees the key j = i + n - m.
#     mask_reversed: >-
#       The mask is used the wrong way around. True means that the query may see the key.
#     mask_after_softmax: >-
#       The mask comes after the softmax, so the rest of a row no longer sums to 1. Hide scores, then normalize.
#     empty_row_is_mean: >-
#       A large negative score does not hide a key from a query that sees nothing else. Use -inf, and give an empty row
#       zeros.
#     empty_row_is_nan: >-
#       A query that sees no key divides 0 by 0. Its output is zeros.
# ---

# %% [markdown]
# # Softmax attention
#
# Each query compares itself with every key. The similarities become weights that sum to 1, and the output is the
# weighted mean of the values:
#
# $$\mathrm{out}_i = \sum_j w_{ij} v_j, \qquad w_{ij} = \frac{e^{s_{ij}}}{\sum_l e^{s_{il}}}, \qquad
#   s_{ij} = \mathrm{scale}\,\langle q_i, k_j \rangle$$
#
# | array | shape | |
# | --- | --- | --- |
# | `query` | (..., m, d) | one row per query |
# | `key` | (..., n, d) | one row per key |
# | `value` | (..., n, e) | what each key has to say |
# | `mask` | (..., m, n) | booleans; True = this query may see this key |
# | result | (..., m, e) | in the dtype of the arrays |
#
# Leading axes broadcast as NumPy's do. `scale` is $1/\sqrt d$ if it is not given. With `causal` query i sees key j if
# and only if j <= i + n - m: the last query sees the last key. What a query does not see has no weight at all, and a
# query that sees no key gets zeros. Scores may be as large as 10 000 and must not overflow.
#
# Write the body of `softmax_attention`. About 11 lines.

# %% [markdown]
# <details><summary>Hint 1: where to begin</summary>
#
# All dot products at once are one matrix product: `query @ key.mT` has the shape (..., m, n).
#
# </details>
#
# <details><summary>Hint 2: masks</summary>
#
# Make one boolean array of what is visible, from `causal` and from `mask`. Where it is False the score becomes -inf,
# before anything is normalized. `np.tri(m, n, k)` has ones where j <= i + k.
#
# </details>
#
# <details><summary>Hint 3: large scores and empty rows</summary>
#
# Subtracting the same number from all scores of a row changes no weight; the largest score is a good number to
# subtract. In a row where everything is hidden it is -inf, and -inf - (-inf) is NaN: subtract 0 there. The sum of that
# row is 0: divide by 1 there.
#
# </details>

# %%
import numpy as np


def softmax_attention(query, key, value, *, mask=None, causal=False, scale=None):
    """Return the weighted mean of the values for each query, (..., m, e)."""
    ### BEGIN SOLUTION
    (m, d), n = query.shape[-2:], key.shape[-2]
    scores = query @ key.mT * (d**-0.5 if scale is None else scale)  # (..., m, n)
    visible = np.tri(m, n, n - m, dtype=bool) if causal else np.ones((m, n), dtype=bool)
    if mask is not None:
        visible = visible & mask
    scores = np.where(visible, scores, -np.inf)
    highest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    unnormalized = np.exp(scores - np.where(highest == -np.inf, 0, highest))
    total = unnormalized.sum(axis=-1, keepdims=True)
    return unnormalized / np.where(total == 0, 1, total) @ value
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def normalized(scores, axis=-1):
    highest = scores.max(axis=axis, keepdims=True, initial=-np.inf)
    unnormalized = np.exp(scores - np.where(highest == -np.inf, 0, highest))
    total = unnormalized.sum(axis=axis, keepdims=True)
    return unnormalized / np.where(total == 0, 1, total)


def visible_in(query, key, mask, causal, offset=None):
    m, n = query.shape[-2], key.shape[-2]
    visible = np.tri(m, n, n - m if offset is None else offset, dtype=bool) if causal else np.ones((m, n), dtype=bool)
    return visible if mask is None else visible & mask


def scores_of(query, key, scale):
    return query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)


def unscaled(query, key, value, *, mask=None, causal=False, scale=None):
    return softmax_attention(query, key, value, mask=mask, causal=causal, scale=1.0 if scale is None else scale)


def over_queries(query, key, value, *, mask=None, causal=False, scale=None):
    scores = np.where(visible_in(query, key, mask, causal), scores_of(query, key, scale), -np.inf)
    return normalized(scores, axis=-2) @ value


def top_left_causal(query, key, value, *, mask=None, causal=False, scale=None):
    visible = visible_in(query, key, mask, causal, offset=0)
    return softmax_attention(query, key, value, mask=visible, scale=scale)


def strictly_causal(query, key, value, *, mask=None, causal=False, scale=None):
    visible = visible_in(query, key, mask, causal, offset=key.shape[-2] - query.shape[-2] - 1)
    return softmax_attention(query, key, value, mask=visible, scale=scale)


def mask_reversed(query, key, value, *, mask=None, causal=False, scale=None):
    return softmax_attention(query, key, value, mask=None if mask is None else ~mask, causal=causal, scale=scale)


def mask_after_softmax(query, key, value, *, mask=None, causal=False, scale=None):
    weights = normalized(scores_of(query, key, scale))
    return np.where(visible_in(query, key, mask, causal), weights, 0) @ value


def empty_row_is_mean(query, key, value, *, mask=None, causal=False, scale=None):
    return normalized(np.where(visible_in(query, key, mask, causal), scores_of(query, key, scale), -1e9)) @ value


def empty_row_is_nan(query, key, value, *, mask=None, causal=False, scale=None):
    visible = visible_in(query, key, mask, causal)
    output = softmax_attention(query, key, value, mask=mask, causal=causal, scale=scale)
    return np.where(visible.any(axis=-1, keepdims=True), output, np.nan).astype(output.dtype)


### END HIDDEN TESTS
