# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: entmax
#   options: [alpha]
#   lines: 14
#   minutes: 30
#   points: 3
#   mistakes:
#     without_factor: >-
#       The scores are not multiplied by alpha - 1 before the threshold is taken off. With alpha = 2 that makes no
#       difference, elsewhere it does.
#     power_upside_down: >-
#       The exponent is alpha - 1. It is 1 / (alpha - 1); try alpha = 1.5, where the weights are squares.
#     too_few_halvings: >-
#       The threshold is found to about three digits only. Each halving gives one binary digit; float64 has 53.
#     softmax_throughout: >-
#       This is the softmax for every alpha. It belongs to alpha = 1 alone.
# ---

# %% [markdown]
# # Entmax: a threshold found by bisection
#
# One number $\alpha \ge 1$ leads from softmax ($\alpha = 1$) through sparsemax ($\alpha = 2$) towards argmax. For
# $\alpha > 1$ the weights are
#
# $$p_j = \bigl[(\alpha - 1)\, x_j - \tau\bigr]_+^{1/(\alpha - 1)}, \qquad \tau \text{ such that } \sum_j p_j = 1,$$
#
# with $[y]_+ = \max(y, 0)$. No formula gives $\tau$ for every $\alpha$. But the sum falls as $\tau$ grows, so it can be
# boxed in: with $y = (\alpha - 1)\, x$ and n scores,
#
# - at $\tau = \max_j y_j - 1$ the best key alone has $1^{1/(\alpha - 1)} = 1$, and the sum is at least 1;
# - at $\tau = \max_j y_j - n^{1 - \alpha}$ every key has at most $1/n$, and the sum is at most 1.
#
# Halve the interval again and again, and keep the half in which the sum passes 1. At the end divide by the sum, which
# takes away what is left of the error.
#
# **Write** `entmax(scores, *, alpha)`: `scores` is `(..., n)` `alpha` a number from 1 to 3; the result has the shape
# and dtype of `scores`. With `alpha == 1` it is the softmax. Scores may be as large as 1e4. There is no need to check
# arguments.

# %% [markdown]
# <details><summary>Hint 1: shift first</summary>
#
# Adding a constant to all scores changes nothing. Move the largest to 0, and the interval is from -1 to
# `-n ** (1 - alpha)` for every row.
#
# </details>
#
# <details><summary>Hint 2: many rows, one loop</summary>
#
# Keep `low` and `high` as arrays of shape (..., 1). In each turn `np.where(sum_at_middle >= 1, ...)` chooses for every
# row on its own.
#
# </details>
#
# <details><summary>Hint 3: how many turns?</summary>
#
# After 60 halvings the interval is narrower than the spacing of float64 numbers.
#
# </details>

# %%
import numpy as np


def entmax(scores, *, alpha=1.5):
    """Return the alpha-entmax of each row of scores, (..., n)."""
    if scores.size == 0:
        return scores.copy()
    ### BEGIN SOLUTION
    shifted = scores - scores.max(axis=-1, keepdims=True)
    if alpha == 1:
        p = np.exp(shifted)
    else:

        def power(threshold):
            return np.maximum((alpha - 1) * shifted - threshold, 0) ** (1 / (alpha - 1))

        low = np.full_like(scores[..., :1], -1.0)
        high = np.full_like(low, -(scores.shape[-1] ** (1 - alpha)))
        for _ in range(60):
            middle = (low + high) / 2
            too_much = power(middle).sum(axis=-1, keepdims=True) >= 1
            low, high = np.where(too_much, middle, low), np.where(too_much, high, middle)
        p = power((low + high) / 2)
    return p / p.sum(axis=-1, keepdims=True)
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _bisected(y, alpha, exponent, halvings):
    def power(threshold):
        return np.maximum(y - threshold, 0) ** exponent

    low = np.full((*y.shape[:-1], 1), -1.0)
    high = np.full_like(low, -(float(y.shape[-1]) ** (1 - alpha)))
    for _ in range(halvings):
        middle = (low + high) / 2
        too_much = power(middle).sum(axis=-1, keepdims=True) >= 1
        low, high = np.where(too_much, middle, low), np.where(too_much, high, middle)
    p = power((low + high) / 2)
    total = p.sum(axis=-1, keepdims=True)
    return p / np.where(total == 0, 1, total)


def without_factor(scores, *, alpha=1.5):
    shifted = scores - scores.max(axis=-1, keepdims=True)
    if alpha == 1:
        return softmax_throughout(scores)
    return _bisected(shifted, alpha, 1 / (alpha - 1), 60)


def power_upside_down(scores, *, alpha=1.5):
    shifted = scores - scores.max(axis=-1, keepdims=True)
    if alpha == 1:
        return softmax_throughout(scores)
    return _bisected((alpha - 1) * shifted, alpha, alpha - 1, 60)


def too_few_halvings(scores, *, alpha=1.5):
    shifted = scores - scores.max(axis=-1, keepdims=True)
    if alpha == 1:
        return softmax_throughout(scores)
    return _bisected((alpha - 1) * shifted, alpha, 1 / (alpha - 1), 10)


def softmax_throughout(scores, *, alpha=1.0):
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


### END HIDDEN TESTS
