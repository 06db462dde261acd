# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: sinkhorn_plan
#   options: [epsilon, steps]
#   lines: 11
#   minutes: 25
#   points: 3
#   mistakes:
#     rows_first: >-
#       The rows are put right first and the columns last. Here columns come first, so that the rows of the plan are
#       exact, however few steps were made.
#     marginals_of_one: >-
#       Every row has the mass 1. The masses are 1 / m for the rows and 1 / n for the columns: all together is 1.
#     cost_times_epsilon: >-
#       The cost is multiplied by epsilon. It is divided: a small epsilon makes a sharp plan.
# ---

# %% [markdown]
# # Sinkhorn's iteration, in log space
#
# Move a mass of 1, spread evenly over m rows, to n columns that each take the same share; moving one unit from i to j
# costs $C_{ij}$. The cheapest plan jumps when costs change. An entropy with the weight $\varepsilon$ smooths it,
#
# $$\min_P\ \sum_{ij} P_{ij} C_{ij} + \varepsilon \sum_{ij} P_{ij} (\log P_{ij} - 1) \qquad \text{with} \quad
#   \sum_j P_{ij} = \frac1m, \quad \sum_i P_{ij} = \frac1n,$$
#
# and gives it a closed form up to one factor per row and one per column, $P_{ij} = e^{f_i + g_j - C_{ij}/\varepsilon}$.
# Sinkhorn finds them by making the columns right, then the rows, and again, from $f = 0$:
#
# $$g_j = \log \tfrac1n - \log \sum_i e^{f_i - C_{ij}/\varepsilon}, \qquad
#   f_i = \log \tfrac1m - \log \sum_j e^{g_j - C_{ij}/\varepsilon} .$$
#
# Since the rows come last, the rows of the plan are exact and each is a softmax, of $g_j - C_{ij}/\varepsilon$, times
# 1/m: attention in which every key has a price, which falls until the key is read as much as all others.
#
# **Write** `sinkhorn_plan(cost, *, epsilon, steps)`: `cost` is `(..., m, n)`, the result has its shape and dtype.
# `steps` is at least 1. Costs may be as large as 1e4 with either sign, so stay in log space. There is no need to check
# arguments.

# %% [markdown]
# <details><summary>Hint 1: what repeats</summary>
#
# Both lines are a log-sum-exp of `logits + something` with `logits = -cost / epsilon`, once over the rows and once over
# the columns.
#
# </details>
#
# <details><summary>Hint 2: axes</summary>
#
# Keep them: f as (..., m, 1) and g as (..., 1, n). Then both are added to the logits as they are.
#
# </details>
#
# <details><summary>Hint 3: a log-sum-exp that does not overflow</summary>
#
# Take the largest entry out first: `largest + np.log(np.exp(x - largest).sum(...))`.
#
# </details>

# %%
import math

import numpy as np


def sinkhorn_plan(cost, *, epsilon=1.0, steps=100):
    """Return the plan after `steps` of Sinkhorn's steps from uniform rows to uniform columns, (..., m, n)."""
    if cost.size == 0:
        return cost.copy()
    ### BEGIN SOLUTION

    def log_sum_exp(x, axis):
        largest = x.max(axis=axis, keepdims=True)
        return largest + np.log(np.exp(x - largest).sum(axis=axis, keepdims=True))

    m, n = cost.shape[-2:]
    logits = -cost / epsilon
    f = 0.0
    for _ in range(steps):
        g = -math.log(n) - log_sum_exp(logits + f, axis=-2)  # (..., 1, n)
        f = -math.log(m) - log_sum_exp(logits + g, axis=-1)  # (..., m, 1)
    rows = logits + g
    return np.exp(rows - log_sum_exp(rows, axis=-1)) / m
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def rows_first(cost, *, epsilon=1.0, steps=100):
    return sinkhorn_plan(cost.mT, epsilon=epsilon, steps=steps).mT


def marginals_of_one(cost, *, epsilon=1.0, steps=100):
    return sinkhorn_plan(cost, epsilon=epsilon, steps=steps) * cost.shape[-2]


def cost_times_epsilon(cost, *, epsilon=1.0, steps=100):
    return sinkhorn_plan(cost, epsilon=1 / epsilon, steps=steps)


### END HIDDEN TESTS
