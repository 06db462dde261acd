"""Distributions over positions: no value is blended, the weights are the result.

The tiles of scores are put where the result will stand; when all of a band are there, its rows are normalized. Each
pair is scored once, also where the logits are asked for.
Bound by memory traffic: each hidden unit reads and writes the tile a few times (see `hidden`); the rows take a few more
passes. Differs from the reference by rounding.
"""

import math
from typing import Any

from attlas_ref.contract import PointerResult

from ..hidden import sum_of_units
from ..tile import Tiles, dot_scores
from .rows import masked_log_softmax, masked_softmax

__all__ = ["pointer_attention"]


def pointer_attention(
    query: Any,
    key: Any,
    *,
    w_query: Any,
    w_key: Any,
    b_query: Any,
    b_key: Any,
    v: Any,
    score: str,
    scale: float | None,
    logit_clip: float | None,
    temperature: float,
    mask: Any,
    log: bool,
    return_logits: bool,
) -> Any:
    """Return the softmax of additive scores or of dot products, or its logarithm."""
    asks, offers = projected(query, w_query, b_query), projected(key, w_key, b_key)
    tiles = Tiles(asks, offers, mask=mask, bias=None, causal=False)
    xp = tiles.xp
    additive = score == "additive"
    scores = sum_of_units(asks, offers, v[None, :], xp.tanh) if additive else dot_scores(asks, offers, scale, None)
    p = tiles.zeros(tiles.pair_leading, tiles.m, tiles.n)
    logits = tiles.zeros(tiles.pair_leading, tiles.m, tiles.n) if return_logits else None
    normalized = masked_log_softmax if log else masked_softmax
    for band in tiles.bands() if tiles.n else ():
        for tile, visible in tiles.along(band):
            u = scores(tile)
            u = u if logit_clip is None else logit_clip * xp.tanh(u)
            u = u / temperature
            if logits is not None:
                tile.of_pairs(logits)[...] = u
            tile.of_pairs(p)[...] = tiles.select(visible, u, -math.inf)
        rows = band.of_pairs(p)
        rows[...] = normalized(xp, rows, None if mask is None else band.of_pairs(mask))
    return p if logits is None else PointerResult(p, logits)


def projected(rows: Any, weight: Any, bias: Any) -> Any:
    """Return rows @ weight + bias, each of which may be missing."""
    rows = rows if weight is None else rows @ weight
    return rows if bias is None else rows + bias
