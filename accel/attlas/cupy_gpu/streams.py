"""The three ways to sum over tiles: with a normalizer that is found on the way, with none, and by whole rows.

A softmax is folded with the running (maximum, total, accumulator): when a new maximum arrives, what was summed so far
is expressed in it. Weights that look at one score alone simply add up. Only a call that asks for the (m, n) weights
has its tiles computed a second time, when the normalizer is known. Weights that must see a row at once have it whole:
there a tile holds all keys of few queries.
"""

import math
from collections.abc import Callable
from typing import Any

from attlas_ref.contract import AttentionResult

from .tile import Score, Tile, Tiles, part

Contribution = Callable[[Any, Any, Any], Any]
"""Maps (weights, tile, visible) to what they add to the accumulator, (..., rows, width)."""

WholeRows = Callable[[Tile, Any], tuple[Any, Any]]
"""Maps (tile, visible) to the final weights of whole rows, 0 where they are hidden, and to what they leave visible."""


def softmax_attended(tiles: Tiles, score: Score, value: Any, return_weights: bool = False) -> Any:
    """Return the mean of the values under the softmax of a score."""

    def fold(band: Tile, contribution: Contribution) -> tuple[Any, Score]:
        maximum, total, accumulator = softmax_partial(tiles, band, score, contribution)
        return accumulator / nonzero(tiles, total), softmax_weights(tiles, score, maximum, total)

    return attended(tiles, value, return_weights, fold)


def summed_attended(
    tiles: Tiles, weight: Score, value: Any, return_weights: bool, divide_by_total: bool = False
) -> Any:
    """Return the sum of the values under weights of one score each, divided by the row's total or not."""

    def fold(band: Tile, contribution: Contribution) -> tuple[Any, Score]:
        total = accumulator = tiles.row_zeros(band)
        for tile, visible in tiles.along(band):
            weights = tiles.select(visible, weight(tile), 0)
            accumulator = accumulator + contribution(weights, tile, visible)
            if divide_by_total:
                total = total + weights.sum(axis=-1, keepdims=True)
        divisor = nonzero(tiles, total)
        return accumulator / divisor, lambda tile: weight(tile) / divisor

    return attended(tiles, value, return_weights, fold)


def rows_attended(
    tiles: Tiles, weigh: WholeRows, value: Any, return_weights: bool = False, selects: bool = False
) -> Any:
    """Return the sum of the values under weights of whole rows; with `selects` these hide pairs of their own."""

    def fold(band: Tile, contribution: Contribution) -> tuple[Any, Score]:
        accumulator = tiles.row_zeros(band)
        weights = accumulator
        for tile, visible in tiles.along(band):  # one tile, or none
            weights, seen = weigh(tile, visible)
            accumulator = contribution(weights, tile, seen)
        return accumulator, lambda tile: weights

    return attended(tiles, value, return_weights, fold, selects)


def attended(
    tiles: Tiles,
    value: Any,
    return_weights: bool,
    fold: Callable[[Tile, Contribution], tuple[Any, Score]],
    selects: bool = False,
) -> Any:
    """Fill the output band by band, and the weights if asked; `fold` gives a band's output and its final weights."""
    contribution = summed_values(tiles, value, selects)
    output = tiles.zeros(tiles.leading, tiles.m, value.shape[-1])
    weights = tiles.zeros(tiles.pair_leading, tiles.m, tiles.n) if return_weights else None
    for band in tiles.bands():
        band.of_queries(output)[...], final = fold(band, contribution)
        if weights is not None:
            for tile, visible in tiles.along(band):
                tile.of_pairs(weights)[...] = tiles.select(visible, final(tile), 0)
    return output if weights is None else AttentionResult(output, weights)


def summed_values(tiles: Tiles, value: Any, selects: bool = False) -> Contribution:
    """Make the contribution of values: their weighted sum over what is visible."""
    strange = tiles.strange(value, selects)
    return lambda weights, tile, visible: tiles.weighted_sum(
        weights, tile.of_keys(value), visible, part(strange, tile.columns)
    )


def softmax_partial(
    tiles: Tiles, band: Tile, score: Score, contribution: Contribution | None = None
) -> tuple[Any, Any, Any]:
    """Fold the tiles of a band into (maximum, total, accumulator), each (..., rows, 1) or as wide as what is added."""
    xp = tiles.xp
    total = accumulator = tiles.row_zeros(band)
    maximum = total - math.inf
    for tile, visible in tiles.along(band):
        scores = tiles.select(visible, score(tile), -math.inf)
        larger = xp.maximum(maximum, scores.max(axis=-1, keepdims=True))
        shift = finite_shift(tiles, larger)
        # Hidden pairs are exp(-inf) = 0, but for a row with a visible NaN, whose sums are NaN with or without them.
        exponentials = xp.exp(scores - shift)
        rescale = xp.exp(maximum - shift)
        total = rescale * total + exponentials.sum(axis=-1, keepdims=True)
        if contribution is not None:
            accumulator = rescale * accumulator + contribution(exponentials, tile, visible)
        maximum = larger
    return maximum, total, accumulator


def softmax_weights(tiles: Tiles, score: Score, maximum: Any, total: Any) -> Score:
    """Make the weights of a band whose maximum and total are known; right where the pair is visible."""
    shift, divisor = finite_shift(tiles, maximum), nonzero(tiles, total)
    return lambda tile: tiles.xp.exp(score(tile) - shift) / divisor


def row_softmax(tiles: Tiles, scores: Any) -> Any:
    """Return the softmax of whole rows; hidden scores are -inf, and a row of them gets zeros."""
    exponentials = tiles.xp.exp(scores - finite_shift(tiles, scores.max(axis=-1, keepdims=True)))
    return exponentials / nonzero(tiles, exponentials.sum(axis=-1, keepdims=True))


def finite_shift(tiles: Tiles, maximum: Any) -> Any:
    """Return the maximum, and 0 where there is none: exp(-inf - 0) is 0, where -inf - -inf would be NaN."""
    return tiles.xp.where(maximum == -math.inf, 0, maximum)


def nonzero(tiles: Tiles, total: Any) -> Any:
    """Return what to divide by: the total, and 1 where it is 0."""
    return tiles.xp.where(total == 0, 1, total)
