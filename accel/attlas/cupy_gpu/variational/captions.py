"""Where to look while a caption is written: additive scores, with a gate or with a sentinel beside the regions.

What depends on a word or on a region alone is projected once; the pairs are summed one hidden unit at a time
(`hidden`). A sentinel is one more item of its word's softmax: a score per word, which joins the maximum and the total
that the regions leave.

Bound by memory traffic: each hidden unit reads and writes the tile a few times.
Differs from the reference by rounding. `b_score` is left out: a softmax forgets what all its scores have in common.
"""

from typing import Any

from array_api_compat import array_namespace

from attlas_ref.contract import AttentionResult, GatedResult, GatedWeightsResult, SentinelResult, SentinelWeightsResult

from ..hidden import rectifier, sum_of_units
from ..streams import finite_shift, nonzero, softmax_attended, softmax_partial, softmax_weights, summed_values
from ..tile import Tiles, logistic

__all__ = ["show_attend_attention", "visual_sentinel_attention"]


def show_attend_attention(
    hidden: Any,
    annotations: Any,
    *,
    w_annotation: Any,
    b_annotation: Any,
    w_hidden: Any,
    b_hidden: Any,
    w_score: Any,
    b_score: float,
    w_gate: Any,
    b_gate: Any,
    activation: str,
    mask: Any,
    return_weights: bool,
    return_gate: bool,
) -> Any:
    """Return the mean of the regions under the softmax of additive scores, times the gate of each word."""
    words, regions = hidden @ w_hidden + b_hidden, annotations @ w_annotation + b_annotation
    tiles = Tiles(words, regions, annotations, mask=mask, bias=None, causal=False)
    xp = tiles.xp
    score = sum_of_units(words, regions, w_score[None, :], xp.tanh if activation == "tanh" else rectifier(xp))
    found = softmax_attended(tiles, score, annotations, return_weights)
    output, weights = found if return_weights else (found, None)
    if w_gate is None:
        gate = xp.zeros((*hidden.shape[:-1], 1), dtype=hidden.dtype) + 1
    else:
        asked = hidden @ w_gate
        gate = logistic(xp, asked if b_gate is None else asked + b_gate)
        if tiles.n > 0:  # a word that sees nothing has no gate
            output *= gate if mask is None else xp.where(mask.any(axis=-1)[..., None], gate, 0)
    if return_gate:
        return GatedResult(output, gate) if weights is None else GatedWeightsResult(output, weights, gate)
    return output if weights is None else AttentionResult(output, weights)


def visual_sentinel_attention(
    hidden: Any,
    features: Any,
    sentinel: Any,
    *,
    w_feature: Any,
    w_hidden: Any,
    w_sentinel: Any,
    w_score: Any,
    mask: Any,
    return_weights: bool,
    return_sentinel: bool,
) -> Any:
    """Return the mean of the regions and the sentinel under one softmax of all their scores."""
    xp = array_namespace(hidden)
    words, regions = hidden @ w_hidden, features @ w_feature
    told = (xp.tanh(sentinel @ w_sentinel + words) @ w_score)[..., None]  # (..., T, 1)
    tiles = Tiles(words, regions, features, mask=mask, bias=None, causal=False)
    score, contribution = sum_of_units(words, regions, w_score[None, :], xp.tanh), summed_values(tiles, features)
    maxima, totals = (tiles.zeros(tiles.pair_leading, tiles.m, 1) for _ in range(2))
    sums = tiles.zeros(tiles.leading, tiles.m, features.shape[-1])
    weights = tiles.zeros(tiles.pair_leading, tiles.m, tiles.n) if return_weights else None
    for band in tiles.bands():
        maximum, total, accumulator = softmax_partial(tiles, band, score, contribution)
        band.of_queries(maxima)[...], band.of_queries(totals)[...] = maximum, total
        band.of_queries(sums)[...] = accumulator
        if weights is not None:
            final = softmax_weights(tiles, score, maximum, total)
            for tile, visible in tiles.along(band):
                tile.of_pairs(weights)[...] = tiles.select(visible, final(tile), 0)
    shift = finite_shift(tiles, xp.maximum(maxima, told))
    own, others = xp.exp(told - shift), xp.exp(maxima - shift)
    whole = nonzero(tiles, own + others * totals)
    output = (others / whole) * sums + (own / whole) * sentinel
    share = (own / whole)[..., 0]
    if not return_sentinel:
        return output if weights is None else AttentionResult(output, weights)
    return SentinelResult(output, share) if weights is None else SentinelWeightsResult(output, weights, share)
