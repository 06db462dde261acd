"""The dense core on the tile template: a formulation is a score; what is summed under it differs."""

import math
from typing import Any

from attlas_ref.contract import AttentionPartial, AttentionVJP, AttentionVJPWithBias

from .columns import stacked_cross_attention
from .coupled import multi_token_attention, selective_attention, threshold_relative_attention
from .hidden import (
    additive_attention,
    graph_attention,
    graph_attention_v2,
    neural_attention,
    relational_attention,
)
from .prefix import prefix_attention
from .streams import nonzero, softmax_attended, softmax_partial, softmax_weights, summed_values
from .tile import Tile, Tiles, dot_scores, part, plus_bias, summed_to, transposed

__all__ = [
    "additive_attention",
    "attention_energy",
    "attention_partial",
    "distance_attention",
    "graph_attention",
    "graph_attention_v2",
    "memory_efficient_attention",
    "multi_token_attention",
    "neural_attention",
    "prefix_attention",
    "relational_attention",
    "selective_attention",
    "softmax_attention",
    "softmax_attention_vjp",
    "stacked_cross_attention",
    "threshold_relative_attention",
]


def softmax_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    temperature: float,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Return the mean of the values under the softmax of the dot products."""
    tiles = Tiles(query, key, value, mask=mask, bias=bias, causal=causal)
    return softmax_attended(tiles, dot_scores(query, key, scale, bias, temperature), value, return_weights)


def distance_attention(
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
    """Return the mean of the values under the softmax of minus the squared distances."""
    tiles = Tiles(query, key, value, mask=mask, bias=bias, causal=causal)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale

    def score(tile: Tile) -> Any:
        q, k = tile.of_queries(query), tile.of_keys(key)
        squares = (q * q).sum(axis=-1)[..., :, None] - 2 * (q @ transposed(k)) + (k * k).sum(axis=-1)[..., None, :]
        return plus_bias(-factor * squares, tile, bias)

    return softmax_attended(tiles, score, value, return_weights)


def memory_efficient_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    query_chunk_size: int,
    key_chunk_size: int,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
) -> Any:
    """Return softmax attention in tiles of at most the given size (and of this engine's own, where that is less)."""
    tiles = Tiles(query, key, value, mask=mask, bias=bias, causal=causal, rows=query_chunk_size, columns=key_chunk_size)
    return softmax_attended(tiles, dot_scores(query, key, scale, bias), value)


def attention_partial(
    query: Any,
    key: Any,
    value: Any,
    *,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    query_offset: int,
    key_offset: int,
) -> AttentionPartial:
    """Return (maximum, total, accumulator) of the keys that are given."""
    offset = query_offset - key_offset
    tiles = Tiles(query, key, value, mask=mask, bias=bias, causal=causal, offset=offset)
    score, contribution = dot_scores(query, key, scale, bias), summed_values(tiles, value)
    maxima, totals = (tiles.zeros(tiles.pair_leading, tiles.m, 1) for _ in range(2))
    accumulators = tiles.zeros(tiles.leading, tiles.m, value.shape[-1])
    for band in tiles.bands():
        maximum, total, accumulator = softmax_partial(tiles, band, score, contribution)
        band.of_queries(maxima)[...] = maximum
        band.of_queries(totals)[...] = total
        band.of_queries(accumulators)[...] = accumulator
    return AttentionPartial(maxima[..., 0], totals[..., 0], accumulators)


def attention_energy(
    query: Any, key: Any, *, scale: float | None, mask: Any, bias: Any, causal: bool, temperature: float
) -> Any:
    """Return minus the temperature times the log-sum-exp of each row."""
    tiles = Tiles(query, key, mask=mask, bias=bias, causal=causal)
    score = dot_scores(query, key, scale, bias, temperature)
    energies = tiles.zeros(tiles.pair_leading, tiles.m, 1)
    for band in tiles.bands():
        maximum, total, _ = softmax_partial(tiles, band, score)
        # A row that sees nothing has the maximum -inf and the total 0: its energy is +inf.
        band.of_queries(energies)[...] = -temperature * (maximum + tiles.xp.log(nonzero(tiles, total)))
    return energies[..., 0]


def softmax_attention_vjp(
    query: Any,
    key: Any,
    value: Any,
    grad_output: Any,
    *,
    temperature: float,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    key_chunk_size: int | None,
    return_grad_bias: bool,
) -> AttentionVJP | AttentionVJPWithBias:
    """Return the gradients, with the weights computed again tile by tile.

    A first pass over the keys finds each row's maximum, total and mean gradient D; a second one the gradients.
    """
    tiles = Tiles(query, key, value, grad_output, mask=mask, bias=bias, causal=causal, columns=key_chunk_size)
    score = dot_scores(query, key, scale, bias, temperature)
    strange_query, strange_key, strange_output = (tiles.strange(array) for array in (query, key, grad_output))
    grads = [tiles.zeros(array.shape) for array in (query, key, value)]
    if return_grad_bias:
        grads.append(tiles.zeros((*tiles.leading, tiles.m, tiles.n) if bias is None else bias.shape))

    def grad_weights(tile: Tile, visible: Any) -> Any:
        return tiles.select(visible, tile.of_queries(grad_output) @ transposed(tile.of_keys(value)), 0)

    def weighted_gradient(weights: Any, tile: Tile, visible: Any) -> Any:
        return (weights * grad_weights(tile, visible)).sum(axis=-1, keepdims=True)

    for band in tiles.bands():
        maximum, total, accumulator = softmax_partial(tiles, band, score, weighted_gradient)
        mean = accumulator / nonzero(tiles, total)
        final = softmax_weights(tiles, score, maximum, total)
        q, g = band.of_queries(query), band.of_queries(grad_output)
        for tile, visible in tiles.along(band):
            seen = None if visible is None else transposed(visible)
            weights = tiles.select(visible, final(tile), 0)
            grad_scores = tiles.select(visible, weights * (grad_weights(tile, visible) - mean), 0) / temperature
            to_query = tiles.weighted_sum(grad_scores, tile.of_keys(key), visible, part(strange_key, tile.columns))
            to_key = tiles.weighted_sum(transposed(grad_scores), q, seen, part(strange_query, tile.rows))
            to_value = tiles.weighted_sum(transposed(weights), g, seen, part(strange_output, tile.rows))
            steps = [(tile.of_queries(grads[0]), to_query), (tile.of_keys(grads[1]), to_key)]
            steps.append((tile.of_keys(grads[2]), to_value))
            if return_grad_bias:
                steps.append((tile.of_pairs(grads[3]), grad_scores))
            for whole, step in steps:
                whole += summed_to(step, whole.shape)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    grads[0] *= factor
    grads[1] *= factor
    return AttentionVJPWithBias(*grads) if return_grad_bias else AttentionVJP(*grads)
