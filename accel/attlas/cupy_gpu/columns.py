"""Weights that look along the keys' columns, or at their own sign."""

import math
from typing import Any

from .hidden import leaky
from .streams import Contribution, attended, finite_shift, nonzero, softmax_attended, softmax_partial, softmax_weights
from .tile import Score, Tile, Tiles, dot_scores, transposed

__all__ = ["cog_attention", "reversed_attention", "stacked_cross_attention"]


def cog_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Return the sum of the values under the softmax of |s|, each weight with the sign of its score."""
    tiles = Tiles(query, key, value, mask=mask, bias=bias, causal=causal)
    score, xp = dot_scores(query, key, scale, bias), tiles.xp
    latest: list[Any] = []

    def size(tile: Tile) -> Any:
        latest[:] = [score(tile)]
        return xp.abs(latest[0])

    def fold(band: Tile, contribution: Contribution) -> tuple[Any, Score]:
        def signed(weights: Any, tile: Tile, visible: Any) -> Any:
            # The sign is that of the tile whose size was taken last.
            return contribution(tiles.select(visible, weights * xp.sign(latest[0]), 0), tile, visible)

        maximum, total, accumulator = softmax_partial(tiles, band, size, signed)
        weight = softmax_weights(tiles, size, maximum, total)

        def final(tile: Tile) -> Any:
            of_size = weight(tile)
            return xp.sign(latest[0]) * of_size

        return accumulator / nonzero(tiles, total), final

    return attended(tiles, value, return_weights, fold)


def reversed_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    sender_gate: Any,
    renormalize: bool,
    eps: float,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Return the sum of the values under a softmax over the queries, key by key."""
    gate = None if sender_gate is None else sender_gate[..., None, :]
    pairs = Tiles(query, key, mask=mask, bias=bias, causal=causal)
    xp, score = pairs.xp, dot_scores(query, key, scale, bias)
    shift, divisor = softmax_of_columns(pairs, score)
    gated = query if gate is None else query + 0 * gate[..., :, :0].sum(axis=-1, keepdims=True)
    tiles = Tiles(gated, key, value, mask=mask, bias=bias, causal=causal)

    def weight(tile: Tile) -> Any:
        weights = xp.exp(score(tile) - tile.of_pairs(shift)) / tile.of_pairs(divisor)
        return weights if gate is None else weights * tile.of_pairs(gate)

    def fold(band: Tile, contribution: Contribution) -> tuple[Any, Score]:
        size = accumulator = tiles.row_zeros(band)
        for tile, visible in tiles.along(band):
            weights = tiles.select(visible, weight(tile), 0)
            accumulator = accumulator + contribution(weights, tile, visible)
            size = size + xp.abs(weights).sum(axis=-1, keepdims=True)
        norm = xp.maximum(size, eps) if renormalize else 1
        return accumulator / norm, lambda tile: weight(tile) / norm

    return attended(tiles, value, return_weights, fold)


def stacked_cross_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    inverse_temperature: Any,
    factors: Any,
    slope: float,
    eps: float,
    mask: Any,
    return_weights: bool,
) -> Any:
    """Return the mean of the values under the softmax of similarities that are normalized key by key."""
    query = query if factors is None else factors * query
    pairs = Tiles(query, key, mask=mask, bias=None, causal=False)
    xp = pairs.xp
    bend = leaky(xp, slope)
    heat = xp.asarray(inverse_temperature)[..., None].astype(query.dtype)

    def rectified(tile: Tile) -> Any:
        return bend(tile.of_queries(query) @ transposed(tile.of_keys(key)))

    squares = pairs.zeros(pairs.pair_leading, 1, pairs.n)
    for band in pairs.bands():
        for tile, visible in pairs.along(band):
            seen = pairs.select(visible, rectified(tile), 0)
            sums = tile.of_pairs(squares)
            sums += (seen * seen).sum(axis=-2, keepdims=True)
    norm = xp.sqrt(squares) + eps
    norm = xp.where(norm == 0, 1, norm)
    tiles = Tiles(query, key, value, mask=mask, bias=heat if heat.ndim > 1 else None, causal=False)

    def score(tile: Tile) -> Any:
        return tile.of_pairs(heat) * (rectified(tile) / tile.of_pairs(norm))

    return softmax_attended(tiles, score, value, return_weights)


def softmax_of_columns(pairs: Tiles, score: Score) -> tuple[Any, Any]:
    """Return what softmaxes over the queries subtract from each key's scores and divide by, (..., 1, n)."""
    xp, total = pairs.xp, pairs.zeros(pairs.pair_leading, 1, pairs.n)
    maximum = total - math.inf
    for band in pairs.bands():
        for tile, visible in pairs.along(band):
            scores = pairs.select(visible, score(tile), -math.inf)
            highest, sums = tile.of_pairs(maximum), tile.of_pairs(total)
            larger = xp.maximum(highest, scores.max(axis=-2, keepdims=True))
            shift = finite_shift(pairs, larger)
            sums[...] = sums * xp.exp(highest - shift) + xp.exp(scores - shift).sum(axis=-2, keepdims=True)
            highest[...] = larger
    return finite_shift(pairs, maximum), nonzero(pairs, total)
