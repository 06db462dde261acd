"""Scores with hidden units: additive, feed-forward, graph and relational attention.

What is linear in a query or a key alone is projected once; then a tile of scores is summed one hidden unit at a time,
so that no array is larger than a few tiles. A second hidden layer needs the units of a pair together: there the keys
of a tile are taken a few at a time.
Bound by memory traffic: each unit reads and writes the tile a few times.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from attlas_ref.contract import RelationalResult

from .streams import nonzero, softmax_attended, softmax_partial, softmax_weights, summed_values
from .tile import ALL, TILE_ENTRIES, Score, Tile, Tiles, dot_scores, logistic, plus_bias, transposed

__all__ = [
    "additive_attention",
    "graph_attention",
    "graph_attention_v2",
    "neural_attention",
    "relational_attention",
]

Bend = Callable[[Any], Any]


def sum_of_units(query: Any, key: Any, factors: Any, bend: Bend) -> Score:
    """Make the score Σ_a u_a bend(q_ia + k_ja); the factors u are (..., 1, a)."""

    def score(tile: Tile) -> Any:
        q, k, u = tile.of_queries(query), tile.of_keys(key), tile.of_heads(factors)
        total = (q[..., :, None, :0] + k[..., None, :, :0]).sum(axis=-1)
        for a in range(query.shape[-1]):
            total = total + u[..., a, None] * bend(q[..., :, a, None] + k[..., None, :, a])
        return total

    return score


def leaky(xp: Any, slope: float) -> Bend:
    """Make LeakyReLU."""
    return lambda x: xp.where(x > 0, x, slope * x)


def rectifier(xp: Any) -> Bend:
    """Make ReLU."""
    return lambda x: xp.maximum(x, 0)


def additive_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    query_weight: Any,
    key_weight: Any,
    score_vector: Any,
    score_bias: Any,
    mask: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Return the mean of the values under the softmax of u · tanh(q W_q + k W_k + b)."""
    query, key = query @ query_weight, key @ key_weight
    query = query if score_bias is None else query + score_bias
    tiles = Tiles(query, key, value, mask=mask, bias=None, causal=causal)
    score = sum_of_units(query, key, score_vector[None, :], tiles.xp.tanh)
    return softmax_attended(tiles, score, value, return_weights)


def neural_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    weight1: Any,
    bias1: Any,
    weight3: Any,
    bias3: float,
    weight2: Any,
    bias2: Any,
    mask: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Return the mean of the values under the softmax of a small network's output."""
    p = query.shape[-1]
    query, key = query @ weight1[:p] + bias1, key @ weight1[p:]
    tiles = Tiles(query, key, value, mask=mask, bias=None, causal=causal)
    xp = tiles.xp
    rectified = rectifier(xp)

    def network(tile: Tile) -> Any:
        q, k = tile.of_queries(query)[..., :, None, :], tile.of_keys(key)[..., None, :, :]
        keys, entries = k.shape[-2], math.prod(q.shape[:-2]) * max(weight2.shape)
        step = max(1, TILE_ENTRIES // max(1, entries))
        parts = [
            rectified(rectified(q + k[..., start : start + step, :]) @ weight2 + bias2) @ weight3
            for start in range(0, max(keys, 1), step)
        ]
        return xp.concatenate(parts, axis=-1)

    inner = sum_of_units(query, key, weight3[None, :], rectified) if weight2 is None else network
    return softmax_attended(tiles, lambda tile: inner(tile) + bias3, value, return_weights)


def graph_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    query_vector: Any,
    key_vector: Any,
    negative_slope: float,
    edge_bias: Any,
    mask: Any,
    return_weights: bool,
) -> Any:
    """Return the mean of the values under the softmax of leaky(a_q · q + a_k · k + edge_bias)."""
    query = (query * query_vector[..., None, :]).sum(axis=-1, keepdims=True)
    key = (key * key_vector[..., None, :]).sum(axis=-1, keepdims=True)
    tiles = Tiles(query, key, value, mask=mask, bias=edge_bias, causal=False)
    bend = leaky(tiles.xp, negative_slope)

    def score(tile: Tile) -> Any:
        return bend(plus_bias(tile.of_queries(query) + transposed(tile.of_keys(key)), tile, edge_bias))

    return softmax_attended(tiles, score, value, return_weights)


def graph_attention_v2(
    query: Any,
    key: Any,
    value: Any,
    *,
    score_vector: Any,
    negative_slope: float,
    edge_bias: Any,
    mask: Any,
    return_weights: bool,
) -> Any:
    """Return the mean of the values under the softmax of a · leaky(q + k) + edge_bias."""
    factors = score_vector[..., None, :]
    query = query + 0 * factors[..., :0].sum(axis=-1, keepdims=True)  # its leading axes are the scores' too
    tiles = Tiles(query, key, value, mask=mask, bias=edge_bias, causal=False)
    units = sum_of_units(query, key, factors, leaky(tiles.xp, negative_slope))
    return softmax_attended(tiles, lambda tile: plus_bias(units(tile), tile, edge_bias), value, return_weights)


def relational_attention(
    query: Any,
    key: Any,
    relation_query: Any,
    relation_key: Any,
    symbols: Any,
    *,
    relation_weight: Any,
    activation: str,
    relation_scale: float | None,
    symbols_relative: bool,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Return what heads read from symbols and from relations, which all heads share."""
    xp, e, r = array_namespace(query), symbols.shape[-1], relation_query.shape[-3]
    # Arrays whose axes are not (..., heads, rows, width) say by an empty one which leading axes they bring.
    bring = [xp.empty((*array.shape[:-3], 1, 0, 0)) for array in (relation_query, relation_key)]
    bring.append(xp.empty((*symbols.shape[:-3], 0, 0)) if symbols_relative else symbols)
    tiles = Tiles(query, key, *bring, mask=mask, bias=bias, causal=causal)
    score = dot_scores(query, key, scale, bias)
    relation_score = dot_scores(relation_query, relation_key, relation_scale, None)
    plain = None if symbols_relative else summed_values(tiles, symbols)

    def relations_of(tile: Tile) -> Any:
        shared = Tile((*tile.leading[:-1], ALL), tile.rows, tile.columns)
        return _activated(xp, relation_score(shared), activation)

    def gathered(weights: Any, tile: Tile, visible: Any) -> Any:
        if plain is None:
            pairs = tile.of_pair_rows(symbols)
            columns = [_pair_sum(tiles, weights * pairs[..., c], visible) for c in range(e)]
            parts = [xp.stack(columns, axis=-1)] if e else []
        else:
            parts = [plain(weights, tile, visible)]
        relations = relations_of(tile)
        for a in range(r):
            read = _pair_sum(tiles, weights * relations[..., a, None, :, :], visible)[..., None]
            parts.append(read)
        rows = np.broadcast_shapes(*(part.shape[:-1] for part in parts))
        return xp.concatenate([xp.broadcast_to(part, (*rows, part.shape[-1])) for part in parts], axis=-1)

    output = tiles.zeros(tiles.leading, tiles.m, e)
    weights = tiles.zeros(tiles.pair_leading, tiles.m, tiles.n) if return_weights else None
    for band in tiles.bands():
        maximum, total, accumulator = softmax_partial(tiles, band, score, gathered)
        if accumulator.shape[-1] == e + r:  # not where there is no key at all
            accumulator = accumulator / nonzero(tiles, total)
            heads = relation_weight[band.leading[-1]]
            band.of_queries(output)[...] = accumulator[..., :e] + accumulator[..., e:] @ heads
        if weights is not None:
            final = softmax_weights(tiles, score, maximum, total)
            for tile, visible in tiles.along(band):
                tile.of_pairs(weights)[...] = tiles.select(visible, final(tile), 0)
    if weights is None:
        return output
    factor = 1 / math.sqrt(relation_query.shape[-1]) if relation_scale is None else relation_scale
    relations = _activated(xp, factor * (relation_query @ transposed(relation_key)), activation)
    return RelationalResult(output, weights, relations)


def _pair_sum(tiles: Tiles, pairs: Any, visible: Any) -> Any:
    """Sum over the visible keys."""
    return tiles.select(visible, pairs, 0).sum(axis=-1)


def _activated(xp: Any, relations: Any, activation: str) -> Any:
    if activation == "relu":
        return xp.maximum(relations, 0)
    if activation == "tanh":
        return xp.tanh(relations)
    if activation == "sigmoid":
        return logistic(xp, relations)
    if activation == "softmax" and relations.shape[-3]:
        largest = relations.max(axis=-3, keepdims=True)
        powers = xp.exp(relations - xp.where(largest == -math.inf, 0, largest))
        total = powers.sum(axis=-3, keepdims=True)
        return powers / xp.where(total == 0, 1, total)
    return relations
