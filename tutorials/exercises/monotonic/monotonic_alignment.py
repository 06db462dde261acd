# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: monotonic_alignment
#   options: [previous]
#   lines: 12
#   minutes: 30
#   points: 3
#   mistakes:
#     goes_back: >-
#       Every row starts at the first key. The pointer starts where it stopped before, so the row before enters the
#       recursion.
#     inclusive_product: >-
#       The chance to go on is taken at the key itself. To arrive at key j the pointer must not have stopped at j - 1.
#     last_key_takes_the_rest: >-
#       What passes the last key is put on the last key. Here that mass is lost: rows may sum to less than 1.
#     divides_by_the_product: >-
#       The closed form with cumulative products divides by numbers that become tiny or 0. Go from key to key instead.
# ---

# %% [markdown]
# # The expected alignment of a pointer that only moves forward
#
# Reading aloud, one moves through the letters and never back. Hard monotonic attention has a pointer that does so. For
# output i it starts where it stopped before, inspects one key after another, and stops at key j with the probability
# $p_{ij}$ = `p_choose`; the next output begins there. A hard stop has no gradient. But the probability $\alpha_{ij}$
# that output i stops at key j can be computed exactly, and training uses it as weights.
#
# Let $q_{ij}$ be the probability that the pointer arrives at key j for output i. There are two ways to get there: from
# the key before, where it did not stop, or because it was there already when output i began. So
#
# $$q_{ij} = (1 - p_{i,j-1})\, q_{i,j-1} + \alpha_{i-1,j}, \qquad \alpha_{ij} = p_{ij}\, q_{ij},$$
#
# with $q_{i,-1} = 0$. Before the first row $\alpha_{-1}$ = `previous`; if it is None all mass is on key 0. What passes
# the last key is lost.
#
# The papers write a row in closed form with cumulative products of $1 - p$, and divide by them. Where p is near 1 they
# vanish, and digits with them. The recursion has neither a division nor a difference of like numbers.
#
# **Write** `monotonic_alignment(p_choose, *, previous)`: `p_choose` is `(..., m, n)`, `previous` `(..., n)`, the result
# `(..., m, n)`. Leading axes broadcast, sizes may be 0, and the result has the dtype of the arrays. There is no need to
# check arguments.

# %% [markdown]
# <details><summary>Hint 1: two loops</summary>
#
# The rows follow each other and the keys follow each other: a loop over i, and one over j inside. All leading axes are
# done at once, with entries such as `p[..., i, j]`.
#
# </details>
#
# <details><summary>Hint 2: what must be carried</summary>
#
# Along a row the probability of arriving, of shape (...); from row to row the alignment, of shape (..., n).
#
# </details>
#
# <details><summary>Hint 3: leading axes</summary>
#
# Allocate the result with `np.broadcast_shapes(p_choose.shape[:-2], previous.shape[:-1])` in front, and fill it in.
#
# </details>

# %%
import numpy as np


def monotonic_alignment(p_choose, *, previous=None):
    """Return the probability that the pointer stops at each key, for each output, (..., m, n)."""
    ### BEGIN SOLUTION
    m, n = p_choose.shape[-2:]
    before = np.eye(1, n, dtype=p_choose.dtype)[0] if previous is None else previous
    leading = np.broadcast_shapes(p_choose.shape[:-2], before.shape[:-1])
    alpha = np.zeros((*leading, m, n), dtype=p_choose.dtype)
    for i in range(m):
        arriving = 0.0
        for j in range(n):
            arriving = arriving + before[..., j]
            alpha[..., i, j] = p_choose[..., i, j] * arriving
            arriving = (1 - p_choose[..., i, j]) * arriving
        before = alpha[..., i, :]
    return alpha
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def goes_back(p_choose, *, previous=None):
    rows = [
        monotonic_alignment(p_choose[..., i, None, :], previous=previous)[..., 0, :] for i in range(p_choose.shape[-2])
    ]
    return np.stack(rows, axis=-2)


def inclusive_product(p_choose, *, previous=None):
    m, n = p_choose.shape[-2:]
    before = np.eye(1, n)[0] if previous is None else previous
    alpha = np.zeros((*np.broadcast_shapes(p_choose.shape[:-2], before.shape[:-1]), m, n))
    for i in range(m):
        arriving = 0.0
        for j in range(n):
            arriving = (1 - p_choose[..., i, j]) * arriving + before[..., j]
            alpha[..., i, j] = p_choose[..., i, j] * arriving
        before = alpha[..., i, :]
    return alpha


def last_key_takes_the_rest(p_choose, *, previous=None):
    sure = p_choose.copy()
    sure[..., -1] = 1
    return monotonic_alignment(sure, previous=previous)


def divides_by_the_product(p_choose, *, previous=None):
    m, n = p_choose.shape[-2:]
    before = np.eye(1, n)[0] if previous is None else previous
    rows = []
    for i in range(m):
        passed = np.cumprod(1 - p_choose[..., i, :], axis=-1)
        c = np.concatenate([np.ones_like(passed[..., :1]), passed[..., :-1]], axis=-1)
        before = p_choose[..., i, :] * c * np.cumsum(before / np.maximum(c, 1e-10), axis=-1)
        rows.append(before)
    return np.stack(rows, axis=-2)


### END HIDDEN TESTS
