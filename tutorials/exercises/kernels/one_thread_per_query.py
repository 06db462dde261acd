# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: softmax_attention
#   options: [scale, causal]
#   lines: 19
#   minutes: 40
#   points: 3
#   mistakes:
#     first_block_only: >-
#       Only the queries of the first block are right. The number of a thread in the grid is its block times the size of
#       a block plus its place in the block: cuda.grid(1).
#     first_head_only: >-
#       Every head reads the arrays of the first one. The head is the second number of the block, cuda.blockIdx.y.
#     accumulator_not_rescaled: >-
#       When a larger score appears the accumulator must shrink too, by exp(old maximum - new maximum).
#     top_left_causal: >-
#       The causal rule is aligned at the first key. The last query must see the last key.
# ---

# %% [markdown]
# # CUDA: one thread per query
#
# On a GPU thousands of threads run the same function, each with a number of its own. The simplest kernel for attention
# gives every query a thread. The thread goes over the keys once and keeps a running maximum $M$, a running sum $S$ and
# an accumulator $A$; when a score $s$ arrives, with $M' = \max(M, s)$,
#
# $$S \leftarrow e^{M - M'} S + e^{s - M'}, \qquad A \leftarrow e^{M - M'} A + e^{s - M'} v, \qquad M \leftarrow M',$$
#
# and at the end it writes $A / S$. No thread waits for another. The price is in the memory: every thread reads all keys
# and values, which is what the next exercise mends.
#
# The grid is launched with `blocks = (number of blocks for the queries, number of heads)` and `THREADS` threads per
# block. So `cuda.grid(1)` is the number of the query, which may lie past the last one, since the number of queries is
# seldom a multiple of the block; and `cuda.blockIdx.y` is the head.
#
# **Write** the kernel `attend(query, key, value, scale, offset, out)`: `query` is `(heads, m, d)`, `key`
# `(heads, n, d)`, `value` `(heads, n, e)`, `out` `(heads, m, e)`, filled with zeros. Query i sees key j iff
# `j <= i + offset`; without a causal rule the offset is n. A query that sees nothing keeps its zeros. Use `out` as the
# accumulator, and `math.exp` rather than `np.exp`. Scores may be as large as 1e4.
#
# No GPU is needed: with the environment variable `NUMBA_ENABLE_CUDASIM=1` Numba runs kernels in a simulator, one Python
# thread per CUDA thread. It is slow and it is exact.

# %% [markdown]
# <details><summary>Hint 1: who am I?</summary>
#
# `i, head = cuda.grid(1), cuda.blockIdx.y`, and return at once if i is not a query.
#
# </details>
#
# <details><summary>Hint 2: which keys?</summary>
#
# `for j in range(min(n, i + offset + 1))`; a range with a negative end is empty.
#
# </details>
#
# <details><summary>Hint 3: the first key</summary>
#
# With the maximum at `-math.inf` and the sum at 0 the first key needs no case of its own: exp(-inf) is 0. Divide at the
# end only if the sum is above 0.
#
# </details>

# %%
import math

import numpy as np
from numba import cuda

THREADS = 2  # of a block; the simulator likes few


@cuda.jit
def attend(query, key, value, scale, offset, out):
    """Write the attention of one query of one head."""
    ### BEGIN SOLUTION
    i, head = cuda.grid(1), cuda.blockIdx.y
    if i >= query.shape[1]:
        return
    running_max, running_sum = -math.inf, 0.0
    for j in range(min(key.shape[1], i + offset + 1)):
        score = 0.0
        for c in range(query.shape[2]):
            score += query[head, i, c] * key[head, j, c]
        score *= scale
        larger = max(running_max, score)
        shrink = math.exp(running_max - larger)
        weight = math.exp(score - larger)
        running_sum = shrink * running_sum + weight
        for c in range(value.shape[2]):
            out[head, i, c] = shrink * out[head, i, c] + weight * value[head, j, c]
        running_max = larger
    if running_sum > 0:
        for c in range(value.shape[2]):
            out[head, i, c] /= running_sum
    ### END SOLUTION


# %%
def softmax_attention(query, key, value, *, scale=None, causal=False):
    """Return softmax attention, (..., m, e), computed by the kernel."""
    (m, d), (n, e) = query.shape[-2:], value.shape[-2:]
    leading = np.broadcast_shapes(*(x.shape[:-2] for x in (query, key, value)))
    heads = math.prod(leading)

    def flat(x, *shape):
        return np.array(np.broadcast_to(x, (*leading, *shape)), order="C").reshape(heads, *shape)

    out = np.zeros((heads, m, e), dtype=value.dtype)
    scale, offset = 1 / math.sqrt(d) if scale is None else float(scale), n - m if causal else n
    if out.size:
        blocks = (-(-m // THREADS), heads)
        attend[blocks, THREADS](flat(query, m, d), flat(key, n, d), flat(value, n, e), scale, offset, out)
    return out.reshape(*leading, m, e)


# %%
### BEGIN HIDDEN TESTS
def _scores(query, key, scale, causal, offset=None):
    m, n = query.shape[-2], key.shape[-2]
    scores = (1 / np.sqrt(query.shape[-1]) if scale is None else scale) * (query @ key.mT)
    offset = n - m if offset is None else offset
    return np.where(np.arange(n) <= np.arange(m)[:, None] + offset, scores, -np.inf) if causal else scores


def _read(scores, value, rescaled=True):
    largest = np.full((*scores.shape[:-1], 1), -np.inf)
    total, rows = np.zeros_like(largest), np.zeros_like(scores @ value)
    for j in range(scores.shape[-1]):
        larger = np.maximum(largest, scores[..., j, None])
        safe = np.where(larger == -np.inf, 0, larger)
        shrink, weight = np.exp(largest - safe), np.exp(scores[..., j, None] - safe)
        total = total * shrink + weight
        rows = (rows * shrink if rescaled else rows) + weight * value[..., j, None, :]
        largest = larger
    return rows / np.where(total == 0, 1, total)


def first_block_only(query, key, value, *, scale=None, causal=False):
    rows = _read(_scores(query, key, scale, causal), value)
    return np.where(np.arange(rows.shape[-2])[:, None] < THREADS, rows, 0)


def first_head_only(query, key, value, *, scale=None, causal=False):
    rows = _read(_scores(query, key, scale, causal), value)
    first = rows.reshape(-1, *rows.shape[-2:])[:1]
    return np.broadcast_to(first, (math.prod(rows.shape[:-2]), *first.shape[1:])).reshape(rows.shape)


def accumulator_not_rescaled(query, key, value, *, scale=None, causal=False):
    return _read(_scores(query, key, scale, causal), value, rescaled=False)


def top_left_causal(query, key, value, *, scale=None, causal=False):
    return _read(_scores(query, key, scale, causal, offset=0), value)


### END HIDDEN TESTS
