"""Attention by a truncated exponential of the scores, a tile of pairs at a time.

Factors would make the time linear, but powers of single channels overflow where no score does, and below some thousand
tokens the products of a tile are faster. Bound by memory traffic: one pass over the tile per order.
"""

import math
from typing import Any

from array_api_compat import array_namespace

from attlas_ref.contract import AttentionVJP

from ..streams import Contribution, attended
from ..tile import Score, Tile, Tiles, dot_scores, part, summed_to, transposed

__all__ = ["fastmax_attention", "fastmax_attention_vjp"]


def fastmax_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    order: int,
    scale: float | None,
    causal: bool,
    key_mask: Any,
    normalize: str | None,
    return_weights: bool,
) -> Any:
    """Return the mean of the values under weights that are polynomials of the scores."""
    if normalize is not None:
        query, key = _normalized(query, normalize, None), _normalized(key, normalize, key_mask)
    tiles = Tiles(query, key, value, mask=_of_pairs(key_mask), bias=None, causal=causal)
    score = dot_scores(query, key, scale, None)

    def fold(band: Tile, contribution: Contribution) -> tuple[Any, Score]:
        divisor, accumulator = _folded(tiles, band, score, order, contribution)
        return accumulator / divisor, lambda tile: truncated_exp(score(tile), order) / divisor

    return attended(tiles, value, return_weights, fold)


def fastmax_attention_vjp(
    query: Any,
    key: Any,
    value: Any,
    grad_output: Any,
    *,
    order: int,
    scale: float | None,
    causal: bool,
    key_mask: Any,
) -> AttentionVJP:
    """Return the gradients, with the weights computed again tile by tile."""
    tiles = Tiles(query, key, value, grad_output, mask=_of_pairs(key_mask), bias=None, causal=causal)
    score = dot_scores(query, key, scale, None)
    strange_query, strange_key, strange_output = (tiles.strange(array) for array in (query, key, grad_output))
    grads = [tiles.zeros(array.shape) for array in (query, key, value)]

    def grad_weights(tile: Tile, visible: Any) -> Any:
        return tiles.select(visible, tile.of_queries(grad_output) @ transposed(tile.of_keys(value)), 0)

    def weighted_gradient(weights: Any, tile: Tile, visible: Any) -> Any:
        return (weights * grad_weights(tile, visible)).sum(axis=-1, keepdims=True)

    for band in tiles.bands():
        divisor, accumulator = _folded(tiles, band, score, order, weighted_gradient)
        mean = accumulator / divisor
        q, g = band.of_queries(query), band.of_queries(grad_output)
        for tile, visible in tiles.along(band):
            seen, scores = None if visible is None else transposed(visible), score(tile)
            weights = tiles.select(visible, truncated_exp(scores, order) / divisor, 0)
            slope = truncated_exp(scores, order - 1) / divisor
            grad_scores = tiles.select(visible, slope * (grad_weights(tile, visible) - mean), 0)
            to_query = tiles.weighted_sum(grad_scores, tile.of_keys(key), visible, part(strange_key, tile.columns))
            to_key = tiles.weighted_sum(transposed(grad_scores), q, seen, part(strange_query, tile.rows))
            to_value = tiles.weighted_sum(transposed(weights), g, seen, part(strange_output, tile.rows))
            wholes = (tile.of_queries(grads[0]), tile.of_keys(grads[1]), tile.of_keys(grads[2]))
            for whole, step in zip(wholes, (to_query, to_key, to_value), strict=True):
                whole += summed_to(step, whole.shape)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    grads[0] *= factor
    grads[1] *= factor
    return AttentionVJP(*grads)


def truncated_exp(scores: Any, order: int) -> Any:
    """Return the exponential series up to an order, 0 below the first term."""
    total = array_namespace(scores).full_like(scores, 0 if order < 0 else 1)
    for power in range(order, 0, -1):
        total = 1 + scores / power * total
    return total


def _folded(tiles: Tiles, band: Tile, score: Score, order: int, contribution: Contribution) -> tuple[Any, Any]:
    """Return the sums of the weights, 1 where nothing is visible, and of what the weights contribute."""
    xp = tiles.xp
    total = accumulator = tiles.row_zeros(band)
    seen = total > 0
    for tile, visible in tiles.along(band):
        weights = tiles.select(visible, truncated_exp(score(tile), order), 0)
        accumulator = accumulator + contribution(weights, tile, visible)
        total = total + weights.sum(axis=-1, keepdims=True)
        seen = ~xp.zeros_like(seen) if visible is None else seen | visible.any(axis=-1)[..., None]
    return xp.where(seen, total, 1), accumulator


def _of_pairs(key_mask: Any) -> Any:
    return None if key_mask is None else key_mask[..., None, :]


def _normalized(tokens: Any, how: str, allowed: Any) -> Any:
    """Subtract a mean and divide by the largest norm of a token."""
    xp, count = array_namespace(tokens), tokens.shape[-2]
    if count == 0:
        return tokens
    use = None if allowed is None else xp.broadcast_to(allowed, (*allowed.shape[:-1], count))[..., None]

    def selected(rows: Any) -> Any:
        return rows if use is None else xp.where(use, rows, 0)

    if how == "token_mean_max_norm":
        used = count if use is None else xp.maximum(use.sum(axis=-2, keepdims=True), 1).astype(tokens.dtype)
        centered = tokens - selected(tokens).sum(axis=-2, keepdims=True) / used
    else:
        centered = tokens - tokens.sum(axis=-1, keepdims=True) / tokens.shape[-1]
    kept = selected(centered)
    norm = xp.sqrt((kept * kept).sum(axis=-1, keepdims=True))
    largest = norm.max(axis=-2, keepdims=True)
    return centered / xp.where(largest == 0, 1, largest)
