# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: fastmax_attention
#   options: [order, scale]
#   lines: 7
#   minutes: 15
#   points: 1
#   mistakes:
#     without_factorials: >-
#       The powers of the score are added without the factorials. The terms of the exponential series are s^l / l!.
#     one_term_short: >-
#       The series ends one term too early. Order p has the terms from 0 to p; with order 0 every key has the weight 1 /
#       n.
#     softmax_of_the_series: >-
#       The truncated series goes through an exponential again. It stands in the place of the exponential: divide it by
#       its sum.
# ---

# %% [markdown]
# # Attention with a polynomial in place of the exponential
#
# The exponential of a dot product cannot be taken apart into a factor for the query and one for the key. A polynomial
# can. So cut the exponential series off,
#
# $$f_p(s) = \sum_{l=0}^{p} \frac{s^l}{l!}, \qquad w_{ij} = \frac{f_p(s_{ij})}{\sum_{j'} f_p(s_{ij'})}, \qquad
#   s_{ij} = \mathrm{scale}\, \langle q_i, k_j \rangle .$$
#
# Order 0 is the plain mean of the values, order 1 is linear attention, and with growing order the weights tend to the
# softmax. Even orders are positive for every score; odd ones may be negative.
#
# In this exercise write the definition, scores first. How the polynomial comes apart, so that no m by n matrix is
# needed, is the subject of the exercise on low rank.
#
# **Write** `fastmax_attention(query, key, value, *, order, scale)`: `query` is `(..., m, d)`, `key` `(..., n, d)`,
# `value` `(..., n, e)`, the result `(..., m, e)`. Leading axes broadcast. Any size but d may be 0: without keys the
# result is zeros. It has the dtype of the arrays. `order` is at least 0; if `scale` is None it is $1/\sqrt d$. There is
# no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: no maximum this time</summary>
#
# The maximum is subtracted in a softmax because a common factor cancels. A polynomial has no such freedom, and no need.
#
# </details>
#
# <details><summary>Hint 2: Horner's rule</summary>
#
# 1 + s + s²/2 + s³/6 = 1 + s (1 + s/2 (1 + s/3)). Work from the inside: it costs p products and no factorial.
#
# </details>
#
# <details><summary>Hint 3: the loop</summary>
#
# Start with ones and repeat `total = 1 + scores / l * total` for l = p, p - 1, ..., 1.
#
# </details>

# %%
import numpy as np


def fastmax_attention(query, key, value, *, order=2, scale=None):
    """Return attention with the exponential series cut off after the power `order`, (..., m, e)."""
    ### BEGIN SOLUTION
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = scale * (query @ key.mT)  # (..., m, n)
    total = np.ones_like(scores)
    for power in range(order, 0, -1):
        total = 1 + scores / power * total
    weights = total / total.sum(axis=-1, keepdims=True)
    return weights @ value
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _series(query, key, order, scale, factorials=True):
    scale = 1 / np.sqrt(query.shape[-1]) if scale is None else scale
    scores = scale * (query @ key.mT)
    total = np.ones_like(scores)
    for power in range(order, 0, -1):
        total = 1 + scores / (power if factorials else 1) * total
    return total


def without_factorials(query, key, value, *, order=2, scale=None):
    kernel = _series(query, key, order, scale, factorials=False)
    return kernel / kernel.sum(axis=-1, keepdims=True) @ value


def one_term_short(query, key, value, *, order=2, scale=None):
    kernel = _series(query, key, order - 1, scale) if order else np.zeros_like(_series(query, key, 0, scale))
    total = kernel.sum(axis=-1, keepdims=True)
    return kernel / np.where(total == 0, 1, total) @ value


def softmax_of_the_series(query, key, value, *, order=2, scale=None):
    kernel = _series(query, key, order, scale)
    weights = np.exp(kernel - kernel.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ value


### END HIDDEN TESTS
