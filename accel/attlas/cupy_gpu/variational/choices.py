"""One key for each query: the best, or one that is drawn by its weight.

The scores come tile by tile, and no weight ever meets a value: what is kept of a query is the number of its key, and at
last the rows of these numbers are copied. A draw u takes two passes: one for the maximum and total of every query, one
along the running sum of its weights, to the first key where it exceeds u times the total. Sums are in double precision.

Bound by memory traffic: each pass reads and writes the tile a few times, the running sum twice as many bytes.
Differs from the reference where rounding decides: scores that are all but equal, and draws that fall almost between two
keys.
"""

import math
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from attlas_ref.contract import AttentionResult, ChoiceResult, ChoiceWeightsResult

from ..streams import finite_shift, softmax_partial
from ..tile import Score, Tile, Tiles, dot_scores

__all__ = ["hard_attention"]

NOTHING, SPOILED = -1, -2
"""In the place of a number: nothing can be chosen; a NaN among the scores."""


def hard_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    uniform: Any,
    temperature: float,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
    return_index: bool,
) -> Any:
    """Return the value of the best key, or of one that is drawn by its weight."""
    scored = [] if uniform is None else [uniform[..., None]]
    tiles = Tiles(query, key, mask=mask, bias=bias, causal=causal, scored=scored)
    if uniform is None:
        index = best_key(tiles, dot_scores(query, key, scale, bias))
    else:
        index = _drawn_key(tiles, dot_scores(query, key, scale, bias, temperature), uniform)
    output, found = read(index, value), tiles.xp.maximum(index, NOTHING)
    if not return_weights:
        return ChoiceResult(output, found) if return_index else output
    weights = one_hot(tiles, index)
    return ChoiceWeightsResult(output, weights, found) if return_index else AttentionResult(output, weights)


def best_key(tiles: Tiles, score: Score) -> Any:
    """Return the number of the first key with the largest score of each query, (..., m), or what stands for none."""
    xp, index = tiles.xp, _numbers(tiles)
    for band in tiles.bands():
        maximum = tiles.row_zeros(band) - math.inf
        here = band.of_queries(index)
        for tile, visible in tiles.along(band):
            scores = tiles.select(visible, score(tile), -math.inf)
            largest = scores.max(axis=-1, keepdims=True)
            first = scores.argmax(axis=-1)[..., None] + tile.columns.start
            here[...] = xp.where(largest > maximum, first, here)
            maximum = xp.maximum(maximum, largest)
        here[...] = xp.where(xp.isnan(maximum), SPOILED, here)
    return index[..., 0]


def _drawn_key(tiles: Tiles, score: Score, uniform: Any) -> Any:
    """Return the number of the first key at which the running sum of the weights exceeds the draw, likewise."""
    xp, index, draws = tiles.xp, _numbers(tiles), uniform[..., None]

    def summed(exponentials: Any, tile: Tile, visible: Any) -> Any:
        # Both passes add up the same numbers in double precision, so that long rows move no draw.
        return exponentials.sum(axis=-1, keepdims=True, dtype="float64")

    for band in tiles.bands():
        maximum, _, total = softmax_partial(tiles, band, score, summed)
        shift, target = finite_shift(tiles, maximum), total * band.of_queries(draws)
        below = last = tiles.row_zeros(band).astype(index.dtype) + NOTHING
        reached: Any = 0.0
        for tile, visible in tiles.along(band):
            weights = tiles.select(visible, xp.exp(score(tile) - shift), 0)
            along = reached + xp.cumsum(weights, axis=-1, dtype="float64")
            below = below + (along <= target).sum(axis=-1, keepdims=True)
            reached = along[..., -1:]
            j = xp.arange(tile.columns.start, tile.columns.stop)
            last = xp.maximum(last, xp.where(weights > 0, j, NOTHING).max(axis=-1, keepdims=True))
        # Where rounding leaves the whole sum below the draw it is the last key with a weight.
        chosen = xp.minimum(below + 1, last)
        band.of_queries(index)[...] = xp.where(xp.isnan(total), SPOILED, chosen)
    return index[..., 0]


def _numbers(tiles: Tiles) -> Any:
    """Return a number of a key for each query, of none so far."""
    return tiles.xp.zeros((*tiles.pair_leading, tiles.m, 1), dtype="int64") + NOTHING


def read(index: Any, value: Any) -> Any:
    """Copy the values with these numbers: zeros where nothing was chosen, NaN where scores were spoiled."""
    xp, (n, e) = array_namespace(value), value.shape[-2:]
    leading = np.broadcast_shapes(index.shape[:-1], value.shape[:-2])
    if n == 0 or value.size == 0:
        rows = xp.zeros((*leading, index.shape[-1], e), dtype=value.dtype)
    else:
        rows = rows_at(value, xp.maximum(index, 0))
    chosen = index[..., None]
    return xp.where(chosen == NOTHING, 0, xp.where(chosen == SPOILED, math.nan, rows))


def rows_at(array: Any, index: Any) -> Any:
    """Copy the rows of an array (..., n, e) with these numbers, (..., m): (..., m, e)."""
    xp, members = array_namespace(array), array.shape[:-2]
    # The axes of the array are numbered one by one, so that none is spread out to those of the numbers.
    ahead = len(members)
    places = [xp.arange(size).reshape(-1, *(1,) * (ahead - axis)) for axis, size in enumerate(members)]
    return array[(*places, index)]


def one_hot(tiles: Tiles, index: Any) -> Any:
    """Return a choice as weights (..., m, n); in a spoiled row NaN, but 0 where nothing is seen."""
    xp, chosen = tiles.xp, index[..., None]
    weights = tiles.zeros(tiles.pair_leading, tiles.m, tiles.n)
    for band in tiles.bands():
        here = band.of_queries(chosen)
        others = xp.where(here == SPOILED, math.nan, tiles.row_zeros(band))
        for tile, visible in tiles.along(band):
            j = xp.arange(tile.columns.start, tile.columns.stop)
            tile.of_pairs(weights)[...] = xp.where(j == here, 1, tiles.select(visible, others, 0))
    return weights
