# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: sigmoid_attention
#   options: [offset, mask]
#   lines: 9
#   minutes: 15
#   points: 2
#   mistakes:
#     rows_normalized: >-
#       The weights of a row are divided by their sum. Here keys do not compete: a row may sum to anything from 0 to n.
#     no_offset: >-
#       Without an offset the weights of n keys start near n / 2 in sum. The default offset is -log(n).
#     visible_counted: >-
#       The default offset counts the visible keys only. n is the number of all keys, so that the offset does not depend
#       on the mask.
# ---

# %% [markdown]
# # Attention without competition
#
# In a softmax one key wins what another loses. Sigmoid attention judges every key by itself:
#
# $$\mathrm{out}_i = \sum_{j \in V(i)} \sigma(s_{ij} + b)\, v_j, \qquad \sigma(x) = \frac{1}{1 + e^{-x}}, \qquad
#   s_{ij} = \frac{\langle q_i, k_j \rangle}{\sqrt d}.$$
#
# There is no row statistic, so blocks of keys simply add up. The offset $b$ decides where training starts: with scores
# near 0 and $b = 0$ each of n keys has the weight 1/2 and the output is a sum of n / 2 values. With $b = -\log n$,
#
# $$\sigma(-\log n) = \frac{1}{1 + n},$$
#
# and a row starts with a sum near 1, as a softmax has it.
#
# Watch the numerics. $e^{-x}$ overflows for scores of -1e4, and a weight of 1e-13 must have its digits too: values may
# be large, and a row may have small weights only.
#
# **Write** `sigmoid_attention(query, key, value, *, offset, mask)`: `query` is `(..., m, d)`, `key` `(..., n, d)`,
# `value` `(..., n, e)`, the result `(..., m, e)`; leading axes broadcast. Any size but d may be 0: without keys the
# result is zeros. It has the dtype of the arrays. `mask` broadcasts to `(..., m, n)`, True = may attend. If `offset` is
# None it is `-log(n)`. There is no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: a mask without a softmax</summary>
#
# There is no sum to divide by, so a hidden key simply gets the weight 0: `np.where(mask, weights, 0)`.
#
# </details>
#
# <details><summary>Hint 2: an exponential that cannot overflow</summary>
#
# `np.exp(-np.abs(x))` lies between 0 and 1 for every x.
#
# </details>
#
# <details><summary>Hint 3: two forms of one function</summary>
#
# With that exponential t, the logistic function is 1 / (1 + t) for x at least 0 and t / (1 + t) below.
#
# </details>

# %%
import math

import numpy as np


def sigmoid_attention(query, key, value, *, offset=None, mask=None):
    """Return the sum of the values, each weighted by a logistic function of its score, (..., m, e)."""
    ### BEGIN SOLUTION
    n, d = key.shape[-2:]
    if offset is None:
        offset = -math.log(max(n, 1))
    x = query @ key.mT / d**0.5 + offset  # (..., m, n)
    small = np.exp(-np.abs(x))
    weights = np.where(x >= 0, 1, small) / (1 + small)
    if mask is not None:
        weights = np.where(mask, weights, 0)
    return weights @ value
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _weights(query, key, offset, mask):
    x = query @ key.mT / np.sqrt(query.shape[-1]) + offset
    small = np.exp(-np.abs(x))
    weights = np.where(x >= 0, 1, small) / (1 + small)
    return weights if mask is None else np.where(mask, weights, 0)


def rows_normalized(query, key, value, *, offset=None, mask=None):
    weights = _weights(query, key, -np.log(key.shape[-2]) if offset is None else offset, mask)
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total == 0, 1, total) @ value


def no_offset(query, key, value, *, offset=None, mask=None):
    return _weights(query, key, 0.0 if offset is None else offset, mask) @ value


def visible_counted(query, key, value, *, offset=None, mask=None):
    shape = (query.shape[-2], key.shape[-2])
    leading = () if mask is None else mask.shape[:-2]
    visible = np.broadcast_to(True if mask is None else mask, (*leading, *shape))
    count = np.maximum(visible.sum(axis=-1, keepdims=True), 1)
    return _weights(query, key, -np.log(count) if offset is None else offset, mask) @ value


### END HIDDEN TESTS
