"""Softmax attention with Gumbel noise on the scores, and its hard form.

The noise is made tile by tile from the draws, which are read like a bias. The logarithm of the softmax differs from the
score by a constant per row, which a softmax and a choice forget: so the noise is added to the score itself.

Bound by memory traffic: m n draws read once, and a few more passes over the tile than softmax attention. The hard form
multiplies by no value (`choices`).
Differs from the reference by rounding. A score of infinity, whose logarithmic weight is NaN, is made NaN.
"""

import math
from typing import Any

from attlas_ref.contract import AttentionResult

from ..streams import softmax_attended
from ..tile import Tile, Tiles, dot_scores
from .choices import best_key, one_hot, read

__all__ = ["gumbel_softmax_attention"]

EPSILON = 1e-20
"""Bounds the noise at the ends of the unit interval."""


def gumbel_softmax_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    uniform: Any,
    temperature: float,
    hard: bool,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Return the mean of the values under the softmax of noisy scores, or the value of the largest of them."""
    tiles = Tiles(query, key, value, mask=mask, bias=bias, causal=causal, scored=[uniform])
    xp, score = tiles.xp, dot_scores(query, key, scale, bias)

    def noisy(tile: Tile) -> Any:
        scores = score(tile)
        gumbel = -xp.log(EPSILON - xp.log(tile.of_pairs(uniform) + EPSILON))
        return xp.where(scores == math.inf, math.nan, scores) + gumbel

    if not hard:
        return softmax_attended(tiles, lambda tile: noisy(tile) / temperature, value, return_weights)
    tiles = Tiles(query, key, mask=mask, bias=bias, causal=causal, scored=[uniform])
    index = best_key(tiles, noisy)
    output = read(index, value)
    return AttentionResult(output, one_hot(tiles, index)) if return_weights else output
