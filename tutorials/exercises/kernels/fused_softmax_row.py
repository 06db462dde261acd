# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: softmax_attention
#   options: [scale, causal]
#   lines: 16
#   minutes: 30
#   points: 3
#   mistakes:
#     accumulator_not_rescaled: >-
#       When a larger score appears the accumulator must shrink too. It holds sums relative to the old maximum; multiply
#       it by exp(old maximum - new maximum).
#     sum_not_rescaled: >-
#       When a larger score appears the running sum must shrink too, by exp(old maximum - new maximum).
#     not_divided: >-
#       The accumulator has not been divided by the running sum at the end.
# ---

# %% [markdown]
# # One pass over the keys: the fused softmax row
#
# Written with NumPy, softmax attention goes over the scores of a query four times: a product, a maximum, a sum of
# exponentials, a product with the values. A kernel can do it in one pass and keep three things only. Let $M$ be the
# largest score so far and
#
# $$S = \sum_j e^{s_j - M}, \qquad A = \sum_j e^{s_j - M} v_j$$
#
# over the keys so far. When the next score $s$ arrives, the maximum may grow to $M' = \max(M, s)$. Everything that has
# been summed was relative to the old one, so it shrinks by $e^{M - M'}$:
#
# $$S' = e^{M - M'} S + e^{s - M'}, \qquad A' = e^{M - M'} A + e^{s - M'} v .$$
#
# At the end the output is $A / S$. This is the whole of FlashAttention's mathematics; the rest is where to keep the
# numbers.
#
# **Write** `attend_row(query, key, value, scale, visible, out)`, a function compiled by Numba: `query` is one row
# `(d,)`, `key` is `(n, d)`, `value` `(n, e)`. The query sees the first `visible` keys and no others; the scores are
# `scale` times the dot products. Write the result into `out` `(e,)`, zeros if no key is visible. Use loops, and no
# array besides those given. The function that calls it for every query is there already. Scores may be as large as 1e4.
#
# In compiled code a loop over numbers is as fast as it gets, and a small temporary array is what costs.

# %% [markdown]
# <details><summary>Hint 1: the state</summary>
#
# Two numbers and `out`, which can hold the accumulator: set it to 0 first. The running maximum starts at `-math.inf`,
# and `math.exp(-math.inf)` is 0, which is just right for the first key.
#
# </details>
#
# <details><summary>Hint 2: one key</summary>
#
# Its score in a loop over d; the new maximum; two exponentials, one for the shrinking and one for the new weight; then
# sum and accumulator.
#
# </details>
#
# <details><summary>Hint 3: at the end</summary>
#
# Divide, but not if nothing has been seen.
#
# </details>

# %%
import math

import numpy as np
from numba import njit


@njit
def attend_row(query, key, value, scale, visible, out):
    """Write the attention of one query to the first `visible` keys into out, in one pass."""
    ### BEGIN SOLUTION
    running_max, running_sum = -math.inf, 0.0
    out[:] = 0.0
    for j in range(visible):
        score = 0.0
        for c in range(query.size):
            score += query[c] * key[j, c]
        score *= scale
        larger = max(running_max, score)
        shrink, weight = math.exp(running_max - larger), math.exp(score - larger)
        running_sum = shrink * running_sum + weight
        for c in range(out.size):
            out[c] = shrink * out[c] + weight * value[j, c]
        running_max = larger
    if visible > 0:
        for c in range(out.size):
            out[c] /= running_sum
    ### END SOLUTION


# %%
@njit
def attend(query, key, value, scale, causal, out):
    """Call `attend_row` for every query of every head."""
    heads, m, _ = query.shape
    n = key.shape[1]
    for head in range(heads):
        for i in range(m):
            visible = min(n, max(0, i + 1 + n - m)) if causal else n
            attend_row(query[head, i], key[head], value[head], scale, visible, out[head, i])


def softmax_attention(query, key, value, *, scale=None, causal=False):
    """Return softmax attention, (..., m, e), computed by the compiled functions."""
    (m, d), (n, e) = query.shape[-2:], value.shape[-2:]
    leading = np.broadcast_shapes(*(x.shape[:-2] for x in (query, key, value)))
    heads = math.prod(leading)

    def flat(x, *shape):
        return np.ascontiguousarray(np.broadcast_to(x, (*leading, *shape))).reshape(heads, *shape)

    out = np.zeros((heads, m, e), dtype=value.dtype)
    scale = 1 / math.sqrt(d) if scale is None else scale
    attend(flat(query, m, d), flat(key, n, d), flat(value, n, e), float(scale), causal, out)
    return out.reshape(*leading, m, e)


# %%
### BEGIN HIDDEN TESTS
def _streamed(query, key, value, scale, causal, shrink_sum=True, shrink_rows=True, divide=True):
    m, n = query.shape[-2], key.shape[-2]
    scores = (1 / np.sqrt(query.shape[-1]) if scale is None else scale) * (query @ key.mT)
    if causal:
        scores = np.where(np.arange(n) <= np.arange(m)[:, None] + n - m, scores, -np.inf)
    largest = np.full((*scores.shape[:-1], 1), -np.inf)
    total, rows = np.zeros_like(largest), np.zeros_like(scores @ value)
    for j in range(n):
        s = scores[..., j, None]
        larger = np.maximum(largest, s)
        safe = np.where(larger == -np.inf, 0, larger)
        shrink, weight = np.exp(largest - safe), np.exp(s - safe)
        total = total * (shrink if shrink_sum else 1) + weight
        rows = rows * (shrink if shrink_rows else 1) + weight * value[..., j, None, :]
        largest = larger
    return rows / np.where(scores.max(axis=-1, keepdims=True) == -np.inf, 1, total) if divide else rows


def accumulator_not_rescaled(query, key, value, *, scale=None, causal=False):
    return _streamed(query, key, value, scale, causal, shrink_rows=False)


def sum_not_rescaled(query, key, value, *, scale=None, causal=False):
    return _streamed(query, key, value, scale, causal, shrink_sum=False)


def not_divided(query, key, value, *, scale=None, causal=False):
    return _streamed(query, key, value, scale, causal, divide=False)


### END HIDDEN TESTS
