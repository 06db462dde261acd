"""Competitive attention: a softmax along the queries, then a mean along the keys.

Bound by memory traffic: two passes over the tiles, one for the maximum and total of every key, one for the shares.
Differs from the reference by rounding: the sums are divided by a row's total, not its weights.
"""

from typing import Any

from ..columns import softmax_of_columns
from ..streams import summed_attended
from ..tile import Tile, Tiles, dot_scores

__all__ = ["competitive_attention"]


def competitive_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    eps: float,
    scale: float | None,
    mask: Any,
    bias: Any,
    return_weights: bool,
) -> Any:
    """Return the mean of the values of the keys that each query has won a share of."""
    score = dot_scores(query, key, scale, bias)
    shift, divisor = softmax_of_columns(Tiles(query, key, mask=mask, bias=bias, causal=False), score)
    tiles = Tiles(query, key, value, mask=mask, bias=bias, causal=False)

    def share(tile: Tile) -> Any:
        return tiles.xp.exp(score(tile) - tile.of_pairs(shift)) / tile.of_pairs(divisor) + eps

    return summed_attended(tiles, share, value, return_weights, divide_by_total=True)
