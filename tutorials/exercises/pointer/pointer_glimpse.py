# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: pointer_glimpse
#   options: [w_query, w_key, v, mask, value]
#   lines: 9
#   minutes: 20
#   points: 2
#   mistakes:
#     visited_still_seen: >-
#       Positions that have been visited still get a weight. Where the mask is False the weight is 0, and the others sum
#       to 1.
#     masked_too_late: >-
#       The mask comes after the softmax, so the weights that remain sum to less than 1. Hide scores, then normalize.
#     dot_product: >-
#       The score is a dot product of the projections. It is additive: a hyperbolic tangent of their sum, weighed by v.
#     always_the_keys: >-
#       The keys themselves are averaged. With value="projected" it is the projected keys.
# ---

# %% [markdown]
# # A glimpse at the cities that are left
#
# A pointer network answers with its weights: which corner of a polygon, which city of a tour comes next. Before it
# points it takes a *glimpse*, a look at all positions that are still open, since whether one is right depends on the
# others. In the letters of the papers $q_i$ is the state of the decoder in step i, $k_j$ the encoding of position j,
# and
#
# $$p_{i\cdot} = \mathrm{softmax}_{V(i)}\bigl(v \cdot \tanh(q_i W_q + k_j W_k)\bigr), \qquad
#   \mathrm{out}_i = \sum_{j \in V(i)} p_{ij}\, r_j .$$
#
# $V(i)$ are the positions that may be pointed at in step i. On a tour these are the cities that have not been visited,
# and their `mask` is True. This additive score is the pointer's own; the glimpse only goes on to average. The codes and
# the papers differ in what is averaged: $r_j = k_j W_k$ with `value="projected"`, and $r_j = k_j$ with `value="key"`.
#
# **Write** `pointer_glimpse(query, key, *, w_query, w_key, v, mask, value)`: `query` is `(..., m, d_q)`, `key`
# `(..., n, d_k)`, `w_query` `(d_q, a)`, `w_key` `(d_k, a)`, `v` `(a,)`; `mask` broadcasts to `(..., m, n)` and may be
# None. The result is `(..., m, a)`, or `(..., m, d_k)` with `value="key"`, in the dtype of the arrays. Leading axes
# broadcast, and sizes may be 0. A step without a position gets zeros. There is no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: all pairs of hidden units</summary>
#
# One projection with an axis for the keys, `[..., :, None, :]`, and one with an axis for the queries,
# `[..., None, :, :]`: their sum is (..., m, n, a).
#
# </details>
#
# <details><summary>Hint 2: from hidden units to scores</summary>
#
# `np.tanh(...) @ v` contracts the last axis.
#
# </details>
#
# <details><summary>Hint 3: a row in which all is hidden</summary>
#
# Put -inf at hidden positions. The largest entry of such a row is -inf: subtract 0 instead, and divide by 1 where the
# sum is 0.
#
# </details>

# %%
import numpy as np


def pointer_glimpse(query, key, *, w_query, w_key, v, mask=None, value="projected"):
    """Return what each query sees at a glimpse of the positions that are open, (..., m, a) or (..., m, d_k)."""
    if mask is not None:  # a key that nobody may see has no say, not even if it is NaN
        key = np.where(mask.any(axis=-2)[..., None], key, 0)
    ### BEGIN SOLUTION
    asks, offers = query @ w_query, key @ w_key
    scores = np.tanh(asks[..., :, None, :] + offers[..., None, :, :]) @ v  # (..., m, n)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    largest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    p = np.exp(scores - np.where(largest == -np.inf, 0, largest))
    total = p.sum(axis=-1, keepdims=True)
    p = p / np.where(total == 0, 1, total)
    return p @ (offers if value == "projected" else key)
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _scores(query, key, w_query, w_key, v):
    return np.tanh((query @ w_query)[..., :, None, :] + (key @ w_key)[..., None, :, :]) @ v


def _softmax(scores, mask=None):
    scores = scores if mask is None else np.where(mask, scores, -np.inf)
    largest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    p = np.exp(scores - np.where(largest == -np.inf, 0, largest))
    total = p.sum(axis=-1, keepdims=True)
    return p / np.where(total == 0, 1, total)


def visited_still_seen(query, key, *, w_query, w_key, v, mask=None, value="projected"):
    p = _softmax(_scores(query, key, w_query, w_key, v))
    p = p if mask is None else np.broadcast_to(p, np.broadcast_shapes(p.shape, mask.shape))
    return p @ (key @ w_key if value == "projected" else key)


def masked_too_late(query, key, *, w_query, w_key, v, mask=None, value="projected"):
    p = _softmax(_scores(query, key, w_query, w_key, v))
    return (p if mask is None else np.where(mask, p, 0)) @ (key @ w_key if value == "projected" else key)


def dot_product(query, key, *, w_query, w_key, v, mask=None, value="projected"):
    p = _softmax((query @ w_query) @ (key @ w_key).mT, mask)
    return p @ (key @ w_key if value == "projected" else key)


def always_the_keys(query, key, *, w_query, w_key, v, mask=None, value="projected"):
    return _softmax(_scores(query, key, w_query, w_key, v), mask) @ key


### END HIDDEN TESTS
