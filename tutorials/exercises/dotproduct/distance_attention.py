# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: distance_attention
#   options: [scale, mask]
#   lines: 9
#   minutes: 15
#   points: 2
#   mistakes:
#     not_squared: >-
#       The score is the negative distance. It needs the negative squared distance, as in the exponent of a Gaussian.
#     positive_sign: >-
#       The score grows with the distance. Near keys weigh most: it needs the minus sign.
#     one_over_d: >-
#       Without `scale` the factor is 1/sqrt(d), not 1/d.
#     mask_after_softmax: >-
#       The mask comes after the softmax, so the rest of a row no longer sums to 1. Hide scores, then normalize.
#     empty_row_is_nan: >-
#       A query that sees no key divides 0 by 0. Its output is zeros.
# ---

# %% [markdown]
# # Attention by distance: kernel regression
#
# Before attention there was this: to guess a function at a new point, average what is known at the old points, the near
# ones more than the far ones (Nadaraya, 1964). With a Gaussian kernel that is attention whose score is the negative
# squared distance:
#
# $$\mathrm{out}_i = \sum_j w_{ij} v_j, \qquad w_{i\cdot} = \mathrm{softmax}(s_{i\cdot}), \qquad
#   s_{ij} = -\mathrm{scale}\,\lVert q_i - k_j \rVert^2 .$$
#
# | array | shape | |
# | --- | --- | --- |
# | `query` | (..., m, d) | where the function is asked for |
# | `key` | (..., n, d) | where it is known |
# | `value` | (..., n, e) | what it is there |
# | `mask` | (..., m, n) | booleans; True = this query may see this key |
# | result | (..., m, e) | in the dtype of the arrays |
#
# Leading axes broadcast. `scale` is $1/\sqrt d$ if it is not given. A query that sees no key gets zeros, and scores may
# be as large as you like.
#
# Write the body of `distance_attention`. About 9 lines.

# %% [markdown]
# <details><summary>Hint 1: all differences at once</summary>
#
# `query[..., :, None, :] - key[..., None, :, :]` has the shape (..., m, n, d).
#
# </details>
#
# <details><summary>Hint 2: the weights</summary>
#
# A softmax over the last axis of the scores. Subtract the largest score of a row first: it changes no weight and keeps
# the exponential from underflowing everywhere at once.
#
# </details>
#
# <details><summary>Hint 3: the mask</summary>
#
# Where the mask is False the score is -inf. A row without any key has the maximum -inf (subtract 0 instead) and the sum
# 0 (divide by 1 instead).
#
# </details>

# %%
import numpy as np


def distance_attention(query, key, value, *, scale=None, mask=None):
    """Return the mean of the values, weighted by how near their keys are, (..., m, e)."""
    ### BEGIN SOLUTION
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    difference = query[..., :, None, :] - key[..., None, :, :]  # (..., m, n, d)
    scores = -scale * (difference**2).sum(axis=-1)  # (..., m, n)
    scores = scores if mask is None else np.where(mask, scores, -np.inf)
    highest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    unnormalized = np.exp(scores - np.where(highest == -np.inf, 0, highest))
    total = unnormalized.sum(axis=-1, keepdims=True)
    return unnormalized / np.where(total == 0, 1, total) @ value
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def smoothed(scores, value, mask):
    """The weighted mean of the values under a softmax of the visible scores."""
    scores = scores if mask is None else np.where(mask, scores, -np.inf)
    highest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    unnormalized = np.exp(scores - np.where(highest == -np.inf, 0, highest))
    total = unnormalized.sum(axis=-1, keepdims=True)
    return unnormalized / np.where(total == 0, 1, total) @ value


def squared(query, key):
    return ((query[..., :, None, :] - key[..., None, :, :]) ** 2).sum(axis=-1)


def factor(query, scale, power=-0.5):
    return query.shape[-1] ** power if scale is None else scale


def not_squared(query, key, value, *, scale=None, mask=None):
    return smoothed(-factor(query, scale) * np.sqrt(squared(query, key)), value, mask)


def positive_sign(query, key, value, *, scale=None, mask=None):
    return smoothed(factor(query, scale) * squared(query, key), value, mask)


def one_over_d(query, key, value, *, scale=None, mask=None):
    return smoothed(-factor(query, scale, -1.0) * squared(query, key), value, mask)


def mask_after_softmax(query, key, value, *, scale=None, mask=None):
    scores = -factor(query, scale) * squared(query, key)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True, initial=-np.inf))
    weights = weights / weights.sum(axis=-1, keepdims=True)
    return (weights if mask is None else np.where(mask, weights, 0)) @ value


def empty_row_is_nan(query, key, value, *, scale=None, mask=None):
    output = distance_attention(query, key, value, scale=scale, mask=mask)
    if mask is None:
        return output
    seen = np.broadcast_to(mask, (*mask.shape[:-2], query.shape[-2], key.shape[-2])).any(axis=-1, keepdims=True)
    return np.where(seen, output, np.nan).astype(output.dtype)


### END HIDDEN TESTS
