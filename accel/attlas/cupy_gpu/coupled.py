"""Weights that depend on other pairs: the largest k, counts of kept keys, what earlier queries select, windows.

All take whole rows. Where queries depend on queries before them, a carried row or a few rows of overlap connect the
bands, which go from the first query to the last.
Bound by memory traffic: each step passes over the tile once, a window once per entry of its kernel.
"""

import math
from typing import Any

from .streams import row_softmax, rows_attended
from .tile import Score, Tile, Tiles, dot_scores, transposed

__all__ = [
    "multi_token_attention",
    "selective_attention",
    "threshold_relative_attention",
    "topk_softmax_attention",
]


def topk_softmax_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    top_k: int,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Return the mean of the values under the softmax of the k largest scores of each row, and of what equals them."""
    tiles = Tiles(query, key, value, mask=mask, bias=bias, causal=causal, whole_rows=True)
    xp, score = tiles.xp, dot_scores(query, key, scale, bias)

    def weigh(tile: Tile, visible: Any) -> tuple[Any, Any]:
        scores = tiles.select(visible, score(tile), -math.inf)
        keys = scores.shape[-1]
        if top_k >= keys:
            return row_softmax(tiles, scores), visible
        low = scores < xp.sort(scores, axis=-1)[..., keys - top_k, None]
        return row_softmax(tiles, xp.where(low, -math.inf, scores)), ~low if visible is None else visible & ~low

    return rows_attended(tiles, weigh, value, return_weights, selects=True)


def threshold_relative_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    forget: Any,
    qk_norm: bool,
    norm_eps: float,
    threshold: float,
    scale: float | None,
    return_weights: bool,
) -> Any:
    """Return the mean of the values under a softmax with a discount for every kept key since."""
    gate = forget[..., None]
    tiles = Tiles(query, key, value, mask=None, bias=gate, causal=True, whole_rows=True)
    xp = tiles.xp
    if qk_norm:
        query, key = _unit_rms(xp, query, norm_eps), _unit_rms(xp, key, norm_eps)
    score = dot_scores(query, key, scale, None)
    discount = -xp.logaddexp(xp.zeros_like(gate), -gate)

    def weigh(tile: Tile, visible: Any) -> tuple[Any, Any]:
        scores = score(tile)
        kept = scores > threshold
        kept = kept if visible is None else kept & visible
        since = xp.cumsum(kept[..., ::-1], axis=-1)[..., ::-1].astype(scores.dtype)
        kept = xp.broadcast_to(kept, (scores + tile.of_pairs(gate)[..., :1]).shape)
        return row_softmax(tiles, xp.where(kept, scores + tile.of_pairs(discount) * since, -math.inf)), kept

    return rows_attended(tiles, weigh, value, return_weights, selects=True)


def selective_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    select_head: int,
    keep_first: bool,
    scale: float | None,
    bias: Any,
    return_weights: bool,
) -> Any:
    """Return softmax attention in which the queries before have pushed keys down that one head selects."""
    tiles = Tiles(query, key, value, mask=None, bias=bias, causal=True, whole_rows=True)
    xp, score = tiles.xp, dot_scores(query, key, scale, bias)
    choose = _score_of_head(query, key, scale, bias, select_head)
    carried: Any = None

    def weigh(tile: Tile, visible: Any) -> tuple[Any, Any]:
        nonlocal carried
        scores, chosen = score(tile), choose(tile)
        i = xp.arange(tile.rows.start, tile.rows.stop)[:, None]
        j = xp.arange(tile.columns.stop)
        earlier = (j < i) & (j > 0) if keep_first else j < i
        selected = xp.where(earlier, xp.maximum(chosen, 0), 0)
        if tile.rows.start == 0:
            carried = tiles.zeros(selected.shape[:-2], 1, tiles.n)
        sums = carried[..., : tile.columns.stop] + xp.cumsum(selected, axis=-2)
        before = xp.concatenate([carried[..., : tile.columns.stop], sums[..., :-1, :]], axis=-2)
        carried[..., : tile.columns.stop] = sums[..., -1:, :]
        return row_softmax(tiles, tiles.select(visible, scores - before[..., None, :, :], -math.inf)), visible

    return rows_attended(tiles, weigh, value, return_weights)


def multi_token_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    key_query_kernel: Any,
    post_kernel: Any,
    pre_head_mixing: Any,
    head_kernel: Any,
    post_head_mixing: Any,
    norm_weight: Any,
    norm_eps: float,
    norm_scale: float,
    pad_key: str,
    scale: float | None,
    return_weights: bool,
) -> Any:
    """Return attention whose scores and weights are convolved over queries and keys and mixed across heads."""
    tiles = Tiles(query, key, value, mask=None, bias=None, causal=True, whole_rows=True, together=1)
    xp, score = tiles.xp, dot_scores(query, key, scale, None)
    # A window reaches back over queries of the band before, which are made again.
    overlap = sum(kernel.shape[-2] - 1 for kernel in (key_query_kernel, post_kernel) if kernel is not None)

    def weigh(tile: Tile, visible: Any) -> tuple[Any, Any]:
        start = max(0, tile.rows.start - overlap)
        wide = Tile(tile.leading, slice(start, tile.rows.stop), tile.columns)
        past = xp.arange(tile.columns.stop) <= xp.arange(start, tile.rows.stop)[:, None]
        weights = xp.where(past, score(wide), 0)
        if key_query_kernel is not None:
            weights = _convolved(xp, weights, key_query_kernel, pad_key)
        if pre_head_mixing is not None:
            weights = _mixed(weights, pre_head_mixing)
        weights = row_softmax(tiles, xp.where(past, weights, -math.inf))
        if post_kernel is not None:
            weights = xp.where(past, _convolved(xp, weights, post_kernel, pad_key), 0)
        if head_kernel is not None:
            groups, size = head_kernel.shape[:2]
            grouped = weights.reshape(*weights.shape[:-3], groups, size, *weights.shape[-2:])
            weights = _mixed(grouped, head_kernel).reshape(weights.shape)
        if post_head_mixing is not None:
            weights = _mixed(weights, post_head_mixing)
        return weights[..., tile.rows.start - start :, :], visible

    result = rows_attended(tiles, weigh, value, return_weights)
    if norm_weight is None:
        return result
    output = result.output if return_weights else result
    output = _unit_rms(xp, output, norm_eps) * norm_weight * norm_scale
    return result._replace(output=output) if return_weights else output


def _score_of_head(query: Any, key: Any, scale: float | None, bias: Any, head: int) -> Score:
    """Make the score of one head, a function of the tiles of all heads."""
    if bias is not None and bias.ndim > 2:
        bias = bias[..., min(head, bias.shape[-3] - 1), :, :]
    score = dot_scores(query[..., head, :, :], key[..., head, :, :], scale, bias)
    return lambda tile: score(Tile(tile.leading[:-1], tile.rows, tile.columns))


def _convolved(xp: Any, scores: Any, kernel: Any, pad_key: str) -> Any:
    """Return Σ_ab kernel[h, a, b] scores[h, i + a - (queries - 1), j + b - left], zeros beyond the edges."""
    queries, keys = kernel.shape[-2:]
    left = {"both": (keys - 1) // 2, "left": keys - 1, "right": 0}[pad_key]
    *leading, m, n = scores.shape
    padded = xp.zeros((*leading, m + queries - 1, n + keys - 1), dtype=scores.dtype)
    padded[..., queries - 1 :, left : left + n] = scores
    result = xp.zeros_like(scores)
    for a in range(queries):
        for b in range(keys):
            result += kernel[:, a, b, None, None] * padded[..., a : a + m, b : b + n]
    return result


def _mixed(scores: Any, mixing: Any) -> Any:
    """Return Σ_c mixing[..., c, d] scores[..., c, i, j]: heads as linear combinations of heads."""
    *leading, heads, m, n = scores.shape
    return (transposed(mixing) @ scores.reshape(*leading, heads, m * n)).reshape(scores.shape)


def _unit_rms(xp: Any, x: Any, eps: float) -> Any:
    """Return rows with a mean square of 1; rows of zeros stay zero."""
    mean_square = (x * x).sum(axis=-1, keepdims=True) / max(x.shape[-1], 1) + eps
    return x / xp.sqrt(xp.where(mean_square == 0, 1, mean_square))
