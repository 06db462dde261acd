# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: sigmoid_attention
#   options: [offset, scale]
#   lines: 20
#   minutes: 60
#   points: 4
#   mistakes:
#     last_tile_ignored: >-
#       The keys of the last tile are left out where it is not full. The number of tiles is n / THREADS, rounded up.
#     first_tile_again: >-
#       Every tile holds the keys of the first one. Thread t brings row start + t of the keys.
#     own_key_only: >-
#       Each thread uses the one key that it has brought along. It needs all keys of the tile: that is what they are
#       shared for.
#     past_the_end: >-
#       The last tile still holds keys of the tile before it, and they are counted again. Stop at n.
# ---

# %% [markdown]
# # CUDA: keys in shared memory
#
# With one thread per query every thread reads every key, and the memory of a GPU is slow beside its arithmetic. The
# threads of a block need the same keys, so let them help each other. A block has a little *shared memory* that is as
# fast as registers. Thread t of the block fetches one key, row `start + t`, into a tile there; when all have done so,
# everybody uses all keys of the tile; and so on to the next tile. A key is now read once per block, not once per query.
#
# Two barriers, `cuda.syncthreads()`, keep this in order, one after the tile has been filled and one before it is
# overwritten:
#
# ```text
# for each tile:   fetch my key and value  |  barrier  |  use all of the tile  |  barrier
# ```
#
# A barrier waits for *every* thread of the block. So a thread whose number lies past the last query must not return
# early: it fetches its keys and meets the barriers like all others, and only computes and writes nothing.
#
# To have nothing else on the mind, the weights are logistic, and blocks of keys simply add up:
#
# $$\mathrm{out}_i = \sum_j \sigma(s_{ij} + b)\, v_j, \qquad \sigma(x) = \frac{1}{1 + e^{-x}}, \qquad
#   s_{ij} = \mathrm{scale}\, \langle q_i, k_j \rangle, \qquad b = -\log n \text{ if not given.}$$
#
# **Write** the kernel `attend(query, key, value, scale, offset, out)`: `query` is `(heads, m, d)`, `key`
# `(heads, n, d)`, `value` `(heads, n, e)`, `out` `(heads, m, e)`, filled with zeros; d and e are at most `WIDTH`. The
# query is `cuda.grid(1)`, the head `cuda.blockIdx.y`, the place in the block `cuda.threadIdx.x`; a block has `THREADS`
# threads. The function `logistic` is given. Declare each tile as `cuda.shared.array((THREADS, WIDTH), float64)`, on a
# line of its own: the simulator tells them apart by their lines.
#
# Set the environment variable `NUMBA_ENABLE_CUDASIM=1` to run it without a GPU.

# %% [markdown]
# <details><summary>Hint 1: the frame</summary>
#
# `for start in range(0, n, THREADS):` fetch, barrier, use, barrier. Both barriers stand outside of any `if`.
#
# </details>
#
# <details><summary>Hint 2: fetching</summary>
#
# Thread t has `j = start + t`; if that is a key, it copies d numbers of the key and e of the value into row t of the
# tiles. In the last tile some threads have nothing to fetch.
#
# </details>
#
# <details><summary>Hint 3: using</summary>
#
# If i is a query: for each row t of the tile with `start + t < n`, the dot product, its weight, and e sums into `out`.
#
# </details>

# %%
import math

import numpy as np
from numba import cuda, float64

THREADS = 2  # of a block, and keys of a tile
WIDTH = 8  # the largest width of a row


@cuda.jit(device=True)
def logistic(x):
    """Return 1 / (1 + exp(-x)), which overflows on neither side."""
    small = math.exp(-abs(x))
    return (1.0 if x >= 0 else small) / (1.0 + small)


@cuda.jit
def attend(query, key, value, scale, offset, out):
    """Write the attention of one query of one head, with keys that the block has fetched together."""
    ### BEGIN SOLUTION
    keys = cuda.shared.array((THREADS, WIDTH), float64)
    values = cuda.shared.array((THREADS, WIDTH), float64)
    i, head, me = cuda.grid(1), cuda.blockIdx.y, cuda.threadIdx.x
    n = key.shape[1]
    for start in range(0, n, THREADS):
        if start + me < n:
            for c in range(key.shape[2]):
                keys[me, c] = key[head, start + me, c]
            for c in range(value.shape[2]):
                values[me, c] = value[head, start + me, c]
        cuda.syncthreads()
        if i < query.shape[1]:
            for t in range(min(THREADS, n - start)):
                score = 0.0
                for c in range(key.shape[2]):
                    score += query[head, i, c] * keys[t, c]
                weight = logistic(scale * score + offset)
                for c in range(value.shape[2]):
                    out[head, i, c] += weight * values[t, c]
        cuda.syncthreads()
    ### END SOLUTION


# %%
def sigmoid_attention(query, key, value, *, offset=None, scale=None):
    """Return sigmoid attention, (..., m, e), computed by the kernel."""
    (m, d), (n, e) = query.shape[-2:], value.shape[-2:]
    leading = np.broadcast_shapes(*(x.shape[:-2] for x in (query, key, value)))
    heads = math.prod(leading)

    def flat(x, *shape):
        return np.array(np.broadcast_to(x, (*leading, *shape)), order="C").reshape(heads, *shape)

    out = np.zeros((heads, m, e), dtype=value.dtype)
    scale = 1 / math.sqrt(d) if scale is None else float(scale)
    offset = -math.log(max(n, 1)) if offset is None else float(offset)
    if out.size:
        blocks = (-(-m // THREADS), heads)
        attend[blocks, THREADS](flat(query, m, d), flat(key, n, d), flat(value, n, e), scale, offset, out)
    return out.reshape(*leading, m, e)


# %%
### BEGIN HIDDEN TESTS
def _weights(query, key, offset, scale):
    x = (1 / np.sqrt(query.shape[-1]) if scale is None else scale) * (query @ key.mT)
    x = x + (-np.log(key.shape[-2]) if offset is None else offset)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def last_tile_ignored(query, key, value, *, offset=None, scale=None):
    full = key.shape[-2] // THREADS * THREADS
    return _weights(query, key, offset, scale)[..., :full] @ value[..., :full, :]


def first_tile_again(query, key, value, *, offset=None, scale=None):
    again = np.arange(key.shape[-2]) % THREADS
    return _weights(query, key, offset, scale)[..., again] @ value[..., again, :]


def own_key_only(query, key, value, *, offset=None, scale=None):
    m, n = query.shape[-2], key.shape[-2]
    own = np.arange(m)[:, None] % THREADS == np.arange(n) % THREADS
    return np.where(own, _weights(query, key, offset, scale), 0) @ value


def past_the_end(query, key, value, *, offset=None, scale=None):
    n = key.shape[-2]
    once_more = np.arange(n, -(-n // THREADS) * THREADS) - THREADS if n > THREADS else np.arange(0)
    every = np.concatenate([np.arange(n), once_more])
    return _weights(query, key, offset, scale)[..., every] @ value[..., every, :]


### END HIDDEN TESTS
