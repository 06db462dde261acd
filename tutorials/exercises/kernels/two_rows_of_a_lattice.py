# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: soft_dtw
#   options: [gamma]
#   lines: 14
#   minutes: 30
#   points: 3
#   mistakes:
#     hard_minimum: >-
#       The minimum is hard. The soft minimum at the temperature gamma adds up all paths.
#     no_diagonal: >-
#       Paths only go down and to the right. They may also go along the diagonal.
#     begins_anywhere: >-
#       Paths may begin at any cell of the first row or column. They begin in the first corner: everything else on the
#       border is infinite.
#     gamma_outside_only: >-
#       The exponents are not divided by gamma.
# ---

# %% [markdown]
# # A recursion in two rows of memory
#
# The same word spoken twice is never equally long. Time warping pairs every moment of one series with one of the other,
# in order: a path through a matrix of costs $D$ from the first corner to the last, by steps down, to the right or along
# the diagonal. Soft time warping counts all paths, at a temperature $\gamma$:
#
# $$R_{ij} = D_{ij} + \mathrm{softmin}_\gamma(R_{i-1,j},\ R_{i,j-1},\ R_{i-1,j-1}), \qquad
#   \mathrm{softmin}_\gamma(a) = -\gamma \log \sum_l e^{-a_l / \gamma},$$
#
# and the result is $R$ in the last corner. It is the alignment cost of speech and of handwriting, and it has a
# gradient, which is an attention map.
#
# Every cell waits for three others, so NumPy has no single call for it, and a Python loop takes a microsecond for each
# number. This is where compiling pays most. It also needs little memory: row i looks at row i - 1 only, so two rows are
# enough, which change places after every row.
#
# **Write** `warp(cost, gamma, before, here)`, compiled by Numba: `cost` is one matrix `(r, c)`, at least 1 by 1;
# `before` and `here` are two rows of `c + 1` numbers to work with, their contents are yours; return one number. Costs
# may be as large as 1e4 with either sign. The function that calls it for every matrix is there already.

# %% [markdown]
# <details><summary>Hint 1: a border</summary>
#
# Let entry j + 1 of a row stand for column j, and entry 0 for a border of infinities. Then no cell is special, but for
# the first: let the border above hold one 0, at its corner.
#
# </details>
#
# <details><summary>Hint 2: the soft minimum of three</summary>
#
# Take the least out first: `least - gamma * log(sum of exp((least - a) / gamma))`. With a = infinity the exponential is
# 0, and the sum is at least 1.
#
# </details>
#
# <details><summary>Hint 3: after each row</summary>
#
# `before, here = here, before`, and set the border of the new row to infinity before you fill it.
#
# </details>

# %%
import math

import numpy as np
from numba import njit


@njit
def warp(cost, gamma, before, here):
    """Return the soft minimum of the costs of all warping paths through one matrix."""
    ### BEGIN SOLUTION
    rows, columns = cost.shape
    before[:] = math.inf
    before[0] = 0.0
    for i in range(rows):
        here[0] = math.inf
        for j in range(columns):
            up, left, corner = before[j + 1], here[j], before[j]
            least = min(up, left, corner)
            total = math.exp((least - up) / gamma)
            total += math.exp((least - left) / gamma)
            total += math.exp((least - corner) / gamma)
            here[j + 1] = cost[i, j] + (least - gamma * math.log(total))
        before, here = here, before
    return before[columns]
    ### END SOLUTION


# %%
def warp_all(cost, gamma, out):
    """Call `warp` for every matrix."""
    before, here = np.empty(cost.shape[2] + 1), np.empty(cost.shape[2] + 1)
    for index in range(cost.shape[0]):
        out[index] = warp(cost[index], gamma, before, here)


def soft_dtw(cost, *, gamma=1.0):
    """Return the soft minimum of the costs of all warping paths, (...)."""
    leading, shape = cost.shape[:-2], cost.shape[-2:]
    out = np.zeros(math.prod(leading), dtype=cost.dtype)
    warp_all(np.ascontiguousarray(cost).reshape(out.size, *shape), float(gamma), out)
    return out.reshape(leading)


# %%
### BEGIN HIDDEN TESTS
def _warped(cost, gamma, wrong=""):
    rows, columns = cost.shape[-2:]
    total = np.full((*cost.shape[:-2], rows + 1, columns + 1), np.inf)
    total[..., 0, 0] = 0
    if wrong == "anywhere":
        total[..., 0, :] = total[..., :, 0] = 0
    for i, j in np.ndindex(rows, columns):
        ways = [total[..., i, j + 1], total[..., i + 1, j]]
        if wrong != "diagonal" or i + j == 0:
            ways.append(total[..., i, j])
        least = np.min(ways, axis=0)
        if wrong == "hard":
            total[..., i + 1, j + 1] = cost[..., i, j] + least
        else:
            exponents = (least - np.array(ways)) / (1 if wrong == "gamma" else gamma)
            total[..., i + 1, j + 1] = cost[..., i, j] + least - gamma * np.log(np.exp(exponents).sum(axis=0))
    return total[..., rows, columns]


def hard_minimum(cost, *, gamma=1.0):
    return _warped(cost, gamma, "hard")


def no_diagonal(cost, *, gamma=1.0):
    return _warped(cost, gamma, "diagonal")


def begins_anywhere(cost, *, gamma=1.0):
    return _warped(cost, gamma, "anywhere")


def gamma_outside_only(cost, *, gamma=1.0):
    return _warped(cost, gamma, "gamma")


### END HIDDEN TESTS
