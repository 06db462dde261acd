# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: tensor_attention_lowrank
#   options: [degree, scale]
#   lines: 14
#   minutes: 45
#   points: 4
#   mistakes:
#     product_before_the_sum: >-
#       The keys are multiplied row by row and then summed. A tuple takes any row of each set, so the sum over all
#       tuples is the product of the sums.
#     without_factorials: >-
#       The monomials are not divided by a!, the product of the factorials of their powers.
#     powers_of_channels_only: >-
#       Mixed monomials such as x_0 x_1 are missing. All products of at most `degree` channels belong to the series.
#     scale_once: >-
#       The scale multiplies every monomial once. A monomial of degree l carries the scale to the power l.
# ---

# %% [markdown]
# # Attention to tuples in linear time
#
# Attention to all pairs of n tokens costs $n^3$ operations. For small scores a polynomial stands in for the
# exponential, and then the cube need not be built at all.
#
# The score of query q with a tuple of keys is $s = \mathrm{scale} \sum_c q_c\, k^1_c \cdots k^p_c$. Cut the exponential
# series off at a degree g. The multinomial theorem writes every power of that sum as a sum of products:
#
# $$\sum_{l \le g} \frac{s^l}{l!} = \sum_{|a| \le g} \frac{\mathrm{scale}^{|a|}}{a!}\; q^a\, (k^1)^a \cdots (k^p)^a,
#   \qquad x^a = \prod_c x_c^{a_c}, \quad a! = \prod_c a_c! .$$
#
# Here $a = (a_1, \dots, a_d)$ runs over all tuples of powers with $|a| = \sum_c a_c \le g$. With d = 2 and g = 2 the
# monomials $x^a$ are $1,\, x_1,\, x_2,\, x_1^2,\, x_1 x_2,\, x_2^2$, and $a!$ is $1, 1, 1, 2, 1, 2$.
#
# Each term is a product of one factor per argument, and so the sum over all tuples of keys is a product of sums:
#
# $$\mathrm{out}_{ic} = \frac{\sum_a \beta_a\, q_i^a\, \prod_r \sum_j (k^r_j)^a\, v^r_{jc}}
#   {\sum_a \beta_a\, q_i^a\, \prod_r \sum_j (k^r_j)^a}, \qquad \beta_a = \frac{\mathrm{scale}^{|a|}}{a!} .$$
#
# **Write** `tensor_attention_lowrank(query, keys, values, *, degree, scale)`: `query` is `(..., m, d)`; `keys` is a
# tuple of p arrays `(..., n_r, d)`, `values` one of p arrays `(..., n_r, e)`, with p from 1 to 3; the result is
# `(..., m, e)`. Leading axes broadcast, and the result has the dtype of the arrays: zeros if a set of keys is empty.
# `degree` is at least 0; if `scale` is None it is $1/\sqrt d$. There is no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: all monomials</summary>
#
# `itertools.combinations_with_replacement(range(d), l)` lists the monomials of degree l as their channels with
# repetition: (0, 0, 1) is x_0² x_1.
#
# </details>
#
# <details><summary>Hint 2: features of an array</summary>
#
# A list of the products of those channels, stacked on the last axis: (..., n, number of monomials). The empty product
# is 1. For the query, use `scale * query`: each channel brings its own scale.
#
# </details>
#
# <details><summary>Hint 3: the sums</summary>
#
# With the features F of a key set, `F.mT @ value` is (..., monomials, e) and the sum of F over its rows is (...,
# monomials). Multiply these over the sets, then multiply by the features of the query.
#
# </details>

# %%
import itertools
import math

import numpy as np


def tensor_attention_lowrank(query, keys, values, *, degree, scale=None):
    """Return attention to tuples of keys with a truncated exponential, without the cube, (..., m, e)."""
    ### BEGIN SOLUTION
    d = query.shape[-1]
    scale = d**-0.5 if scale is None else scale
    monomials = [a for order in range(degree + 1) for a in itertools.combinations_with_replacement(range(d), order)]
    factorials = [math.prod(math.factorial(a.count(c)) for c in set(a)) for a in monomials]

    def features(x):
        return np.stack([x[..., list(a)].prod(axis=-1) for a in monomials], axis=-1)

    numerator = denominator = 1.0
    for key, value in zip(keys, values, strict=True):
        of_key = features(key)  # (..., n_r, monomials)
        numerator = numerator * (of_key.mT @ value)  # (..., monomials, e)
        denominator = denominator * of_key.sum(axis=-2)[..., None]  # (..., monomials, 1)
    of_query = features(scale * query) / np.array(factorials, dtype=query.dtype)
    empty = any(key.shape[-2] == 0 for key in keys)
    return (of_query @ numerator) / np.where(empty, 1, of_query @ denominator)
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _monomials(d, degree, mixed=True):
    return [
        a
        for order in range(degree + 1)
        for a in itertools.combinations_with_replacement(range(d), order)
        if mixed or len(set(a)) <= 1
    ]


def _read(query, keys, values, degree, scale, divide=True, mixed=True, once=False):
    d = query.shape[-1]
    scale = 1 / np.sqrt(d) if scale is None else scale
    monomials = _monomials(d, degree, mixed)

    def features(x):
        return np.stack([x[..., list(a)].prod(axis=-1) for a in monomials], axis=-1)

    numerator = denominator = 1.0
    for key, value in zip(keys, values, strict=True):
        numerator = numerator * (features(key).mT @ value)
        denominator = denominator * features(key).sum(axis=-2)[..., None]
    factors = [math.prod(math.factorial(a.count(c)) for c in set(a)) if divide else 1 for a in monomials]
    of_query = (scale if once else 1.0) * features((1.0 if once else scale) * query) / np.array(factors)
    return (of_query @ numerator) / (of_query @ denominator)


def product_before_the_sum(query, keys, values, *, degree, scale=None):
    rows = min(key.shape[-2] for key in keys)
    key, value = 1.0, 1.0
    for one, other in zip(keys, values, strict=True):
        key, value = key * one[..., :rows, :], value * other[..., :rows, :]
    return _read(query, (key,), (value,), degree, scale)


def without_factorials(query, keys, values, *, degree, scale=None):
    return _read(query, keys, values, degree, scale, divide=False)


def powers_of_channels_only(query, keys, values, *, degree, scale=None):
    return _read(query, keys, values, degree, scale, mixed=False)


def scale_once(query, keys, values, *, degree, scale=None):
    return _read(query, keys, values, degree, scale, once=True)


### END HIDDEN TESTS
