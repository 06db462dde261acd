"""Attention by a truncated exponential of the scores, a tile of pairs at a time: sums and gradients.

Bound by memory traffic: one pass over the tile per order.
"""

import math
from collections.abc import Sequence
from typing import Any

from array_api_compat import array_namespace

from ..streams import Contribution
from ..tile import Score, Strange, Tile, Tiles, part, summed_to, transposed


def factor_of(query: Any, scale: float | None) -> float:
    """Return the factor of the dot products."""
    return 1 / math.sqrt(query.shape[-1]) if scale is None else scale


def truncated_exp(scores: Any, order: int) -> Any:
    """Return the exponential series up to an order, 0 below the first term."""
    total = array_namespace(scores).full_like(scores, 0 if order < 0 else 1)
    for power in range(order, 0, -1):
        total = 1 + scores / power * total
    return total


def folded(tiles: Tiles, band: Tile, score: Score, order: int, contribution: Contribution) -> tuple[Any, Any, Any]:
    """Return the sums of the weights, of what they contribute, and whether anything is visible."""
    xp = tiles.xp
    total = accumulator = tiles.row_zeros(band)
    seen = total > 0
    for tile, visible in tiles.along(band):
        weights = tiles.select(visible, truncated_exp(score(tile), order), 0)
        accumulator = accumulator + contribution(weights, tile, visible)
        total = total + weights.sum(axis=-1, keepdims=True)
        seen = ~xp.zeros_like(seen) if visible is None else seen | visible.any(axis=-1)[..., None]
    return total, accumulator, seen


def grad_weights(tiles: Tiles, tile: Tile, visible: Any, value: Any, gradient: Any) -> Any:
    """Return <g_i, v_j> of the visible pairs, 0 elsewhere."""
    return tiles.select(visible, tile.of_queries(gradient) @ transposed(tile.of_keys(value)), 0)


def add_gradients(
    tiles: Tiles,
    band: Tile,
    score: Score,
    order: int,
    arrays: Sequence[Any],
    statistics: tuple[Any, Any],
    grads: Sequence[Any],
    strange: tuple[Strange, Strange, Strange] = (None, None, None),
) -> None:
    """Add the gradients of a band's pairs by query and key (without the scale) and value.

    `arrays` are these and the gradient of the output; `strange` tells their rows with a NaN, in the order query, key,
    gradient. The statistics of the band's queries are the sums of the weights and the means of <g, v>.
    """
    divisor, mean = statistics
    query, key, value, gradient = arrays
    strange_query, strange_key, strange_output = strange
    q, g = band.of_queries(query), band.of_queries(gradient)
    for tile, visible in tiles.along(band):
        seen, scores = None if visible is None else transposed(visible), score(tile)
        weights = tiles.select(visible, truncated_exp(scores, order) / divisor, 0)
        slope = truncated_exp(scores, order - 1) / divisor
        pull = grad_weights(tiles, tile, visible, value, gradient) - mean
        grad_scores = tiles.select(visible, slope * pull, 0)
        to_query = tiles.weighted_sum(grad_scores, tile.of_keys(key), visible, part(strange_key, tile.columns))
        to_key = tiles.weighted_sum(transposed(grad_scores), q, seen, part(strange_query, tile.rows))
        to_value = tiles.weighted_sum(transposed(weights), g, seen, part(strange_output, tile.rows))
        wholes = tile.of_queries(grads[0]), tile.of_keys(grads[1]), tile.of_keys(grads[2])
        for whole, step in zip(wholes, (to_query, to_key, to_value), strict=True):
            whole += summed_to(step, whole.shape)
