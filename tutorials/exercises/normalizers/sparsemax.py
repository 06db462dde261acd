# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: sparsemax
#   options: []
#   lines: 8
#   minutes: 20
#   points: 2
#   mistakes:
#     clipped_and_rescaled: >-
#       Negative scores are cut off and the rest is divided by its sum. That lands on the simplex, but not at the
#       nearest point; the projection subtracts one threshold from every score.
#     everything_supported: >-
#       The threshold is taken over all scores. Scores far below it would get negative weights, so the threshold must
#       come from the support alone.
#     one_forgotten: >-
#       The weights sum to something else than 1. The threshold of a prefix is its sum less 1, divided by k.
# ---

# %% [markdown]
# # Sparsemax: weights with exact zeros
#
# Softmax gives every key some weight, however bad its score. Sparsemax takes the point of the simplex that lies nearest
# to the scores,
#
# $$\mathrm{sparsemax}(x) = \arg\min_{p \ge 0,\ \sum_j p_j = 1} \lVert p - x \rVert^2 .$$
#
# Write down the Lagrangian of this problem and one number remains unknown, a threshold $\tau$ that all scores share:
#
# $$p_j = \max(x_j - \tau,\ 0), \qquad \tau \text{ such that } \sum_j p_j = 1 .$$
#
# Whatever lies below $\tau$ gets a weight of exactly 0. Only how many scores lie above it, $k$, has to be found. If the
# support were the $k$ largest scores $x_{(1)} \ge \dots \ge x_{(k)}$, the sum would give
#
# $$\tau_k = \frac{x_{(1)} + \dots + x_{(k)} - 1}{k},$$
#
# and the guess is consistent as long as the last score of the prefix lies above its own threshold, $x_{(k)} > \tau_k$.
# The support is the longest prefix for which that holds.
#
# **Write** `sparsemax(scores)`: `scores` is `(..., n)`, the result has the same shape and dtype, and every row along
# the last axis is projected. Scores may be as large as 1e4. A row may be empty: give the maximum an `initial` value,
# and do not divide by 0. There is no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: which k is right?</summary>
#
# The condition holds for the first few prefixes and fails for all longer ones. So count how often it holds.
#
# </details>
#
# <details><summary>Hint 2: all prefixes at once</summary>
#
# `np.cumsum` of the sorted scores gives every sum, and `count = np.arange(1, n + 1)` every k. Multiply the condition by
# k to avoid a division.
#
# </details>
#
# <details><summary>Hint 3: the sum that belongs to k</summary>
#
# Where the condition holds, add up the sorted scores: that is the sum of the support.
#
# </details>

# %%
import numpy as np


def sparsemax(scores):
    """Return the nearest point of the simplex to each row of scores, (..., n)."""
    ### BEGIN SOLUTION
    shifted = scores - scores.max(axis=-1, keepdims=True, initial=-np.inf)  # changes nothing, and keeps the sums small
    ordered = -np.sort(-shifted, axis=-1)
    sums = np.cumsum(ordered, axis=-1)
    count = np.arange(1, scores.shape[-1] + 1, dtype=scores.dtype)
    supported = 1 + count * ordered > sums
    size = supported.sum(axis=-1, keepdims=True, dtype=scores.dtype)  # (..., 1), at least 1
    threshold = (np.where(supported, ordered, 0).sum(axis=-1, keepdims=True) - 1) / np.maximum(size, 1)
    return np.maximum(shifted - threshold, 0)
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def clipped_and_rescaled(scores):
    positive = np.maximum(scores, 0)
    total = positive.sum(axis=-1, keepdims=True)
    return positive / np.where(total == 0, 1, total)


def everything_supported(scores):
    threshold = (scores.sum(axis=-1, keepdims=True) - 1) / scores.shape[-1]
    return np.maximum(scores - threshold, 0)


def one_forgotten(scores):
    ordered = -np.sort(-scores, axis=-1)
    sums = np.cumsum(ordered, axis=-1)
    count = np.arange(1, scores.shape[-1] + 1)
    supported = 1 + count * ordered > sums
    size = np.maximum(supported.sum(axis=-1, keepdims=True), 1)
    return np.maximum(scores - np.where(supported, ordered, 0).sum(axis=-1, keepdims=True) / size, 0)


### END HIDDEN TESTS
