# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: merge_attention_partials
#   options: []
#   lines: 8
#   minutes: 20
#   points: 2
#   mistakes:
#     not_rescaled: >-
#       The two parts are added as they are. Each is relative to its own maximum: bring both to the common one first,
#       with the factor exp(M_r - M).
#     total_not_rescaled: >-
#       The accumulators are rescaled and the totals are not. Both are sums of exponentials relative to the maximum.
#     empty_is_nan: >-
#       Where both parts have seen no key, -inf - (-inf) is NaN. A part that has seen nothing has the factor 0.
#     sum_of_maxima: >-
#       The common maximum is the larger of the two, not their sum.
# ---

# %% [markdown]
# # Streaming: joining two halves of an attention
#
# Softmax attention need not see all keys at once. Of a block of keys it is enough to keep, for each query,
#
# $$M = \max_j s_j, \qquad S = \sum_j e^{s_j - M}, \qquad A = \sum_j e^{s_j - M} v_j ,$$
#
# and the output is $A / S$. Two blocks are joined without looking at their keys again. This is what lets a kernel walk
# over a million keys with a few numbers per query, and it is all of the algebra in FlashAttention.
#
# `first` and `second` are triples (maximum, total, accumulator):
#
# | part | shape | |
# | --- | --- | --- |
# | maximum $M$ | (..., m) | -inf where no key has been seen |
# | total $S$ | (..., m) | 0 there |
# | accumulator $A$ | (..., m, e) | 0 there |
#
# Return the triple of both blocks together, in the same order. Leading axes broadcast. Joining with a block that has
# seen nothing changes nothing, and two such blocks give another one: never NaN.
#
# Write the body of `merge_attention_partials`. About 8 lines.

# %% [markdown]
# <details><summary>Hint 1: what is wrong with adding</summary>
#
# $S_1$ is a sum of $e^{s_j - M_1}$. The sum that you need is of $e^{s_j - M}$, with the common maximum $M$. Which
# factor leads from the one to the other?
#
# </details>
#
# <details><summary>Hint 2: the formula</summary>
#
# $M = \max(M_1, M_2)$, $c_r = e^{M_r - M}$, $S = c_1 S_1 + c_2 S_2$, and $A$ likewise. The accumulator has one axis
# more: `c[..., None]`.
#
# </details>
#
# <details><summary>Hint 3: blocks that have seen nothing</summary>
#
# If one maximum is -inf, its factor is $e^{-\infty} = 0$, and all is well. If both are, the exponent is -inf - (-inf).
# `np.where` gives the factor 0 there.
#
# </details>

# %%
import numpy as np


def merge_attention_partials(first, second):
    """Return maximum (..., m), total (..., m) and accumulator (..., m, e) of both blocks together."""
    ### BEGIN SOLUTION
    (maximum_1, total_1, accumulator_1), (maximum_2, total_2, accumulator_2) = first, second
    maximum = np.maximum(maximum_1, maximum_2)
    shift = np.where(maximum == -np.inf, 0, maximum)
    factor_1, factor_2 = np.exp(maximum_1 - shift), np.exp(maximum_2 - shift)
    total = factor_1 * total_1 + factor_2 * total_2
    accumulator = factor_1[..., None] * accumulator_1 + factor_2[..., None] * accumulator_2
    return maximum, total, accumulator
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def joined(first, second, maximum, factors, total_factors=None):
    (_, total_1, accumulator_1), (_, total_2, accumulator_2) = first, second
    (factor_1, factor_2), (of_total_1, of_total_2) = factors, total_factors or factors
    total = of_total_1 * total_1 + of_total_2 * total_2
    return maximum, total, factor_1[..., None] * accumulator_1 + factor_2[..., None] * accumulator_2


def not_rescaled(first, second):
    one = np.ones((), dtype=first[0].dtype)
    return joined(first, second, np.maximum(first[0], second[0]), (one, one))


def total_not_rescaled(first, second):
    maximum = np.maximum(first[0], second[0])
    shift = np.where(maximum == -np.inf, 0, maximum)
    one = np.ones((), dtype=first[0].dtype)
    return joined(first, second, maximum, (np.exp(first[0] - shift), np.exp(second[0] - shift)), (one, one))


def empty_is_nan(first, second):
    maximum = np.maximum(first[0], second[0])
    return joined(first, second, maximum, (np.exp(first[0] - maximum), np.exp(second[0] - maximum)))


def sum_of_maxima(first, second):
    _, total, accumulator = merge_attention_partials(first, second)
    return first[0] + second[0], total, accumulator


### END HIDDEN TESTS
