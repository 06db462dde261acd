"""Sparse distributed memory: weights that are functions of a distance, looked up in a table.

How many neurons two addresses share depends on their distance alone; the few possible counts are computed on the host,
with whole numbers. A tile is a matrix product, a look-up and a sum. What a table holds is in double precision, as are
the running sums.

Bound by memory traffic: the look-ups in double precision.
"""

import math
from typing import Any

from array_api_compat import array_namespace

from attlas_ref.contract import AttentionResult, CountersResult

from ...balls import expected_neurons, shares
from ..streams import Contribution, attended, nonzero, softmax_partial, softmax_weights
from ..tile import Score, Tile, Tiles, part, transposed
from .caps import log_cap_fractions

__all__ = ["sdm_attention", "sdm_continuous_attention", "sdm_neuron_attention"]


def sdm_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    radius: int,
    neurons: int | None,
    uniforms: Any,
    threshold: bool,
    return_weights: bool,
) -> Any:
    """Return the mean of the values, each weighted by how many neurons its address shares with the query's."""
    xp, dim = array_namespace(query), query.shape[-1]

    def distance(tile: Tile) -> Any:
        q, k = tile.of_queries(query), tile.of_keys(key)
        squares = q.sum(axis=-1)[..., :, None] + k.sum(axis=-1)[..., None, :] - 2 * (q @ transposed(k))
        return squares.astype("int64")  # bits make whole numbers, exactly

    if neurons is None:
        result = _shared(query, key, value, distance, shares(dim, radius), return_weights)
    else:
        table = expected_neurons(dim, radius, neurons)
        expected, scale = xp.asarray(table), 2.0 ** math.frexp(table[0] + 1)[1]  # larger than any count

        def counts(tile: Tile) -> Any:
            mean = expected[distance(tile)]
            whole = xp.floor(mean)
            return (whole + (tile.of_pairs(uniforms) < mean - whole)) / scale

        result = _counted(query, key, value, uniforms, counts, return_weights)
    if not threshold:
        return result
    output = result.output if return_weights else result
    output = _unless_nan(xp, output, (output > 1 / 2).astype(output.dtype))
    return AttentionResult(output, result.weights) if return_weights else output


def sdm_continuous_attention(query: Any, key: Any, value: Any, *, cap_cosine: float, return_weights: bool) -> Any:
    """Return the mean of the values, each weighted by how much of the sphere two caps share."""
    xp = array_namespace(query)
    log_fraction = log_cap_fractions(xp, query.shape[-1], cap_cosine)
    lengths = [xp.sqrt((x * x).sum(axis=-1, keepdims=True)) for x in (query, key)]
    q, k = (x / xp.where(length == 0, 1, length) for x, length in zip((query, key), lengths, strict=True))
    of_query, of_key = lengths[0] == 0, transposed(lengths[1] == 0)

    def score(tile: Tile) -> Any:
        cosine = xp.minimum(xp.maximum(tile.of_queries(q) @ transposed(tile.of_keys(k)), -1), 1)
        nowhere = tile.of_pairs(of_query) | tile.of_pairs(of_key)
        return xp.where(nowhere, -math.inf, log_fraction(cosine))

    return _reached(query, key, value, score, return_weights)


def sdm_neuron_attention(
    query: Any,
    key: Any,
    value: Any,
    neurons: Any,
    *,
    radius: int,
    threshold: bool,
    bipolar: bool,
    normalize: bool,
    return_counters: bool,
) -> Any:
    """Return what neurons near the query hold, after every value was added to the neurons near its key."""
    xp = array_namespace(query)
    counters, hits = _near_sums(neurons, key, value, None, radius, bipolar)
    output, count = _near_sums(query, neurons, counters, hits, radius, bipolar)
    if normalize:
        output = output / xp.where(count == 0, 1, count)
    if threshold:
        bits = xp.sign(output) if bipolar else (output > 1 / 2).astype(output.dtype)
        output = _unless_nan(xp, output, bits)
    return CountersResult(output, counters) if return_counters else output


def _unless_nan(xp: Any, output: Any, bits: Any) -> Any:
    return xp.where(output != output, output, bits)


def _near_sums(x: Any, y: Any, value: Any, hits: Any, radius: int, bipolar: bool) -> tuple[Any, Any]:
    """Return, for each row of x, the sums of the values and of the hits (1 if not given) of the rows of y near it."""
    tiles = Tiles(x, y, value, mask=None, bias=None, causal=False)
    dim, strange = x.shape[-1], tiles.strange(value, selects=True)
    sums = tiles.zeros(tiles.leading, tiles.m, value.shape[-1])
    totals = tiles.zeros(tiles.pair_leading if hits is None else tiles.leading, tiles.m, 1)
    for band in tiles.bands():
        total = accumulator = tiles.row_zeros(band)
        for tile, _ in tiles.along(band):
            a, b = tile.of_queries(x), tile.of_keys(y)
            overlap = a @ transposed(b)
            if bipolar:
                near = overlap >= dim - 2 * radius
            else:
                near = a.sum(axis=-1)[..., :, None] + b.sum(axis=-1)[..., None, :] - 2 * overlap <= radius
            weights = near.astype(tiles.dtype)
            fresh = tiles.weighted_sum(weights, tile.of_keys(value), near, part(strange, tile.columns))
            accumulator = accumulator + fresh
            total = total + (weights.sum(axis=-1, keepdims=True) if hits is None else weights @ tile.of_keys(hits))
        band.of_queries(sums)[...] = accumulator
        band.of_queries(totals)[...] = total
    return sums, totals


def _reached(query: Any, key: Any, value: Any, score: Score, return_weights: bool) -> Any:
    """Return the mean of the values under the softmax of a score that is -inf where a key is out of reach."""
    tiles = Tiles(query, key, value, mask=None, bias=None, causal=False)
    latest: list[Any] = []

    def kept(tile: Tile) -> Any:
        latest[:] = [score(tile)]
        return latest[0]

    def fold(band: Tile, contribution: Contribution) -> tuple[Any, Score]:
        def reached(weights: Any, tile: Tile, visible: Any) -> Any:
            # What is in reach is that of the tile whose score was taken last.
            seen = latest[0] != -math.inf
            return contribution(tiles.select(seen, weights, 0).astype(tiles.dtype), tile, seen)

        maximum, total, accumulator = softmax_partial(tiles, band, kept, reached)
        weight = softmax_weights(tiles, kept, maximum, total)

        def final(tile: Tile) -> Any:
            of_score = weight(tile)
            return tiles.select(latest[0] != -math.inf, of_score, 0)

        return accumulator / nonzero(tiles, total), final

    return attended(tiles, value, return_weights, fold, selects=True)


def _shared(query: Any, key: Any, value: Any, distance: Score, table: Any, return_weights: bool) -> Any:
    """Return the mean of the values under shares, fractions times powers of two; that of the nearest is taken off."""
    tiles = Tiles(query, key, value, mask=None, bias=None, causal=False)
    xp, (fractions, powers) = tiles.xp, map(tiles.xp.asarray, table)

    def fold(band: Tile, contribution: Contribution) -> tuple[Any, Score]:
        total = accumulator = tiles.row_zeros(band)
        largest, one = total.astype("int64") + powers[-1], total + 1
        for tile, _ in tiles.along(band):
            apart = distance(tile)
            fraction, power = fractions[apart], powers[apart]
            larger = xp.maximum(largest, power.max(axis=-1, keepdims=True))
            weights = xp.ldexp(fraction, power - larger)
            rescale = xp.ldexp(one, largest - larger)
            total = rescale * total + weights.sum(axis=-1, keepdims=True)
            fresh = contribution(weights.astype(tiles.dtype), tile, fraction > 0)
            accumulator = rescale * accumulator + fresh
            largest = larger
        divisor = nonzero(tiles, total)

        def final(tile: Tile) -> Any:
            apart = distance(tile)
            return xp.ldexp(fractions[apart], powers[apart] - largest) / divisor

        return accumulator / divisor, final

    return attended(tiles, value, return_weights, fold, selects=True)


def _counted(query: Any, key: Any, value: Any, uniforms: Any, counts: Score, return_weights: bool) -> Any:
    """Return the mean of the values under counts, 0 where a key is out of reach."""
    tiles = Tiles(query, key, value, mask=uniforms, bias=None, causal=False)
    tiles.mask = None  # the uniforms have leading axes, but hide nothing

    def fold(band: Tile, contribution: Contribution) -> tuple[Any, Score]:
        total = accumulator = tiles.row_zeros(band)
        for tile, _ in tiles.along(band):
            number = counts(tile)
            accumulator = accumulator + contribution(number.astype(tiles.dtype), tile, number > 0)
            total = total + number.sum(axis=-1, keepdims=True)
        divisor = nonzero(tiles, total)
        return accumulator / divisor, lambda tile: counts(tile) / divisor

    return attended(tiles, value, return_weights, fold, selects=True)
