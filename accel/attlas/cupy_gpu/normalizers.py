"""Other maps from scores to weights on the tile template."""

import math
from typing import Any

from .columns import cog_attention, reversed_attention
from .coupled import topk_softmax_attention
from .simplex import entmax, entmax_attention, entmax_vjp, sparsemax, sparsemax_attention, sparsemax_vjp
from .streams import softmax_attended, summed_attended
from .tile import Tile, Tiles, dot_scores, logistic

__all__ = [
    "cog_attention",
    "entmax",
    "entmax_attention",
    "entmax_vjp",
    "relu_attention",
    "reversed_attention",
    "sigmoid_attention",
    "softcapped_attention",
    "sparsemax",
    "sparsemax_attention",
    "sparsemax_vjp",
    "topk_softmax_attention",
]


def sigmoid_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    offset: float | None,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Return the sum of the values under a logistic function of each score."""
    tiles = Tiles(query, key, value, mask=mask, bias=bias, causal=causal)
    score, xp = dot_scores(query, key, scale, bias), tiles.xp
    shift = -math.log(max(tiles.n, 1)) if offset is None else offset

    def weight(tile: Tile) -> Any:
        return logistic(xp, score(tile) + shift)

    return summed_attended(tiles, weight, value, return_weights)


def relu_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    length_power: float,
    squared: bool,
    normalize: str | None,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Return the sum of the values under the positive part of each score."""
    tiles = Tiles(query, key, value, mask=mask, bias=bias, causal=causal)
    score = dot_scores(query, key, scale, bias)
    divisor = float(max(tiles.n, 1)) ** length_power if normalize == "length" else 1.0

    def weight(tile: Tile) -> Any:
        positive = tiles.xp.maximum(score(tile), 0)
        return (positive * positive if squared else positive) / divisor

    return summed_attended(tiles, weight, value, return_weights, divide_by_total=normalize == "sum")


def softcapped_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    cap: float,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Return softmax attention with scores bent into (-cap, cap)."""
    tiles = Tiles(query, key, value, mask=mask, bias=bias, causal=causal)
    score = dot_scores(query, key, scale, bias)
    return softmax_attended(tiles, lambda tile: cap * tiles.xp.tanh(score(tile) / cap), value, return_weights)
