# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: memory_efficient_attention
#   options: [query_chunk_size, key_chunk_size, scale, causal]
#   lines: 22
#   minutes: 45
#   points: 4
#   mistakes:
#     tile_not_rescaled: >-
#       What earlier tiles have summed up is not rescaled when a later tile brings a larger score. Shrink sum and
#       accumulator by exp(old maximum - new maximum).
#     normalized_in_the_tile: >-
#       Each tile is divided by its own sum. Only the caller divides, at the end, by the sum over all tiles.
#     causal_from_the_tile: >-
#       The causal rule counts from the corner of the tile. Row r of the tile sees its key j iff j <= r + offset.
#     hidden_row_is_nan: >-
#       A row that sees no key of the tile has computed -inf - (-inf), which is NaN. It must leave its state alone.
# ---

# %% [markdown]
# # A tile at a time: never the matrix
#
# The matrix of scores of 100,000 tokens has 10 billion entries. Nobody needs it. Cut the queries and the keys into
# chunks: a *tile* is one chunk of queries against one chunk of keys, small enough for the cache. A tile is folded into
# the state of its queries, which is for each of them
#
# $$M = \max_j s_j, \qquad S = \sum_j e^{s_j - M}, \qquad A = \sum_j e^{s_j - M} v_j$$
#
# over all keys of the tiles so far. A tile has its own maximum. So per query the state is rescaled once per tile, not
# once per key: with $M'$ the larger of both,
#
# $$S \leftarrow e^{M - M'} S + \sum_{j \in \text{tile}} e^{s_j - M'}, \qquad
#   A \leftarrow e^{M - M'} A + \sum_{j \in \text{tile}} e^{s_j - M'} v_j, \qquad M \leftarrow M' .$$
#
# When all tiles have been folded in, the output is $A / S$.
#
# **Write** `fold_tile(query, key, value, scale, offset, running_max, running_sum, accumulator)`, compiled by Numba:
# `query` is `(b, d)`, `key` `(k, d)`, `value` `(k, e)`; the state `(b,)`, `(b,)` and `(b, e)` is updated in place. Row
# r of the tile sees its key j iff `j <= r + offset`; the caller makes the offset, very large without a causal rule. A
# row that sees no key of the tile keeps its state. You may use one temporary array of k scores. The loop over the tiles
# is there already. Scores may be as large as 1e4.

# %% [markdown]
# <details><summary>Hint 1: how many keys a row sees</summary>
#
# They are the first ones of the tile: `min(k, max(0, r + offset + 1))`. If that is 0, go on with the next row.
#
# </details>
#
# <details><summary>Hint 2: three loops over the keys of a row</summary>
#
# The scores, and their largest; then one exponential per key, added to the sum; and the values, added to the
# accumulator. The last two can be one loop.
#
# </details>
#
# <details><summary>Hint 3: the first tile</summary>
#
# The state starts with a maximum of minus infinity, and `math.exp(-math.inf)` is 0: nothing special to do.
#
# </details>

# %%
import math

import numpy as np
from numba import njit


@njit
def fold_tile(query, key, value, scale, offset, running_max, running_sum, accumulator):
    """Fold one tile of keys into the state of a chunk of queries, in place."""
    ### BEGIN SOLUTION
    scores = np.empty(key.shape[0])
    for r in range(query.shape[0]):
        visible = min(key.shape[0], max(0, r + offset + 1))
        if visible == 0:
            continue
        larger = running_max[r]
        for j in range(visible):
            score = 0.0
            for c in range(query.shape[1]):
                score += query[r, c] * key[j, c]
            scores[j] = scale * score
            larger = max(larger, scores[j])
        shrink = math.exp(running_max[r] - larger)
        running_max[r] = larger
        running_sum[r] *= shrink
        for c in range(accumulator.shape[1]):
            accumulator[r, c] *= shrink
        for j in range(visible):
            weight = math.exp(scores[j] - larger)
            running_sum[r] += weight
            for c in range(accumulator.shape[1]):
                accumulator[r, c] += weight * value[j, c]
    ### END SOLUTION


# %%
@njit
def attend(query, key, value, scale, causal, query_chunk_size, key_chunk_size, out):
    """Fold all tiles of every head, and divide at the end."""
    heads, m, _ = query.shape
    n = key.shape[1]
    for head in range(heads):
        for i in range(0, m, query_chunk_size):
            rows = query[head, i : i + query_chunk_size]
            accumulator = out[head, i : i + query_chunk_size]
            running_max, running_sum = np.full(len(rows), -np.inf), np.zeros(len(rows))
            for j in range(0, n, key_chunk_size):
                offset = i - j + n - m if causal else m + n
                tile = key[head, j : j + key_chunk_size], value[head, j : j + key_chunk_size]
                fold_tile(rows, tile[0], tile[1], scale, offset, running_max, running_sum, accumulator)
            for r in range(len(rows)):
                if running_sum[r] > 0:
                    accumulator[r] /= running_sum[r]


def memory_efficient_attention(query, key, value, *, query_chunk_size=64, key_chunk_size=64, scale=None, causal=False):
    """Return softmax attention, (..., m, e), computed tile by tile."""
    (m, d), (n, e) = query.shape[-2:], value.shape[-2:]
    leading = np.broadcast_shapes(*(x.shape[:-2] for x in (query, key, value)))
    heads = math.prod(leading)

    def flat(x, *shape):
        return np.ascontiguousarray(np.broadcast_to(x, (*leading, *shape))).reshape(heads, *shape)

    out = np.zeros((heads, m, e), dtype=value.dtype)
    scale = 1 / math.sqrt(d) if scale is None else float(scale)
    chunks = query_chunk_size, key_chunk_size
    attend(flat(query, m, d), flat(key, n, d), flat(value, n, e), scale, causal, *chunks, out)
    return out.reshape(*leading, m, e)


# %%
### BEGIN HIDDEN TESTS
def _tiled(query, key, value, query_chunk_size, key_chunk_size, scale, causal, wrong):
    m, n = query.shape[-2], key.shape[-2]
    scores = (1 / np.sqrt(query.shape[-1]) if scale is None else scale) * (query @ key.mT)
    if causal and wrong == "corner":
        i, j = np.arange(m)[:, None] % query_chunk_size, np.arange(n) % key_chunk_size
        scores = np.where(j <= i, scores, -np.inf)
    elif causal:
        scores = np.where(np.arange(n) <= np.arange(m)[:, None] + n - m, scores, -np.inf)
    largest = np.full((*scores.shape[:-1], 1), -np.inf)
    total, rows = np.zeros_like(largest), np.zeros_like(scores @ value)
    for j in range(0, n, key_chunk_size):
        tile, values = scores[..., j : j + key_chunk_size], value[..., j : j + key_chunk_size, :]
        larger = np.maximum(largest, tile.max(axis=-1, keepdims=True))
        safe = larger if wrong == "nan" else np.where(larger == -np.inf, 0, larger)
        shrink, weights = np.exp(largest - safe), np.exp(tile - safe)
        shrink = np.ones_like(shrink) if wrong == "rescale" else shrink
        if wrong == "own sum":
            own = weights.sum(axis=-1, keepdims=True)
            weights = weights / np.where(own == 0, 1, own)
        total = total * shrink + weights.sum(axis=-1, keepdims=True)
        rows = rows * shrink + weights @ values
        largest = larger
    return rows / np.where(total == 0, 1, total)


def tile_not_rescaled(query, key, value, *, query_chunk_size=64, key_chunk_size=64, scale=None, causal=False):
    return _tiled(query, key, value, query_chunk_size, key_chunk_size, scale, causal, "rescale")


def normalized_in_the_tile(query, key, value, *, query_chunk_size=64, key_chunk_size=64, scale=None, causal=False):
    return _tiled(query, key, value, query_chunk_size, key_chunk_size, scale, causal, "own sum")


def causal_from_the_tile(query, key, value, *, query_chunk_size=64, key_chunk_size=64, scale=None, causal=False):
    return _tiled(query, key, value, query_chunk_size, key_chunk_size, scale, causal, "corner")


def hidden_row_is_nan(query, key, value, *, query_chunk_size=64, key_chunk_size=64, scale=None, causal=False):
    with np.errstate(invalid="ignore"):
        return _tiled(query, key, value, query_chunk_size, key_chunk_size, scale, causal, "nan")


### END HIDDEN TESTS
