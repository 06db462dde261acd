"""Projections onto the simplex: sparsemax and entmax, of rows and of the scores of attention.

Where a threshold is known in closed form, whole rows are sorted and summed up along; other exponents halve the interval
of the threshold, all rows at once.
Bound by memory traffic: a sort passes over a row several times, and each halving once.
"""

import math
from collections.abc import Callable
from typing import Any

from array_api_compat import array_namespace

from .streams import rows_attended
from .tile import TILE_ENTRIES, Tile, Tiles, dot_scores

__all__ = ["entmax", "entmax_attention", "entmax_vjp", "sparsemax", "sparsemax_attention", "sparsemax_vjp"]

HALVINGS = 60
"""How often the interval of a threshold is halved where the call does not say: beyond the last bit of a double."""

RowMap = Callable[..., Any]
"""Maps rows of scores (rows, n), hidden ones -inf, and what else goes with them, to rows of results."""


def sparsemax(scores: Any, *, axis: int, mask: Any) -> Any:
    """Return the nearest point of the simplex, row by row."""
    return _mapped(_sparsemax, scores, axis=axis, mask=mask)


def sparsemax_vjp(scores: Any, grad_output: Any, *, axis: int, mask: Any) -> Any:
    """Return the gradient: less its mean on the support, 0 off it."""
    return entmax_vjp(scores, grad_output, alpha=2.0, axis=axis, mask=mask)


def entmax(scores: Any, *, alpha: float, axis: int, mask: Any, method: str, iterations: int) -> Any:
    """Return the maximizer of the scores plus Tsallis' entropy, row by row."""
    return _mapped(entmax_map(alpha, method, iterations), scores, axis=axis, mask=mask)


def entmax_vjp(scores: Any, grad_output: Any, *, alpha: float, axis: int, mask: Any) -> Any:
    """Return u (g - Σ u g / Σ u) with u = p^(2 - alpha) on the support and 0 off it."""
    project = entmax_map(alpha)

    def gradient(rows: Any, grads: Any) -> Any:
        xp = array_namespace(rows)
        p = project(rows)
        supported = p > 0
        u = xp.where(supported, xp.where(supported, p, 1) ** (2 - alpha), 0)
        total = u.sum(axis=-1, keepdims=True)
        mean = xp.where(supported, u * grads, 0).sum(axis=-1, keepdims=True) / xp.where(total == 0, 1, total)
        return xp.where(supported, u * (grads - mean), 0)

    return _mapped(gradient, scores, grad_output, axis=axis, mask=mask)


def sparsemax_attention(
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
    """Return the mean of the values under the sparsemax of each row."""
    return _attended(_sparsemax, query, key, value, scale, mask, bias, causal, return_weights)


def entmax_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    alpha: float,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Return the mean of the values under the entmax of each row."""
    return _attended(entmax_map(alpha), query, key, value, scale, mask, bias, causal, return_weights)


def _attended(
    project: RowMap,
    query: Any,
    key: Any,
    value: Any,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    tiles = Tiles(query, key, value, mask=mask, bias=bias, causal=causal, whole_rows=True)
    score = dot_scores(query, key, scale, bias)

    def weigh(tile: Tile, visible: Any) -> tuple[Any, Any]:
        return tiles.select(visible, project(tiles.select(visible, score(tile), -math.inf)), 0), visible

    return rows_attended(tiles, weigh, value, return_weights)


def _mapped(rows_to_rows: RowMap, scores: Any, *others: Any, axis: int, mask: Any) -> Any:
    """Apply a map of rows along an axis, as many rows at a time as fit a tile; hidden entries give 0."""
    xp, n = array_namespace(scores), scores.shape[axis]
    result = xp.zeros_like(scores)
    if result.size == 0:
        return result
    masks = [] if mask is None else [xp.broadcast_to(mask, scores.shape)]
    results, *arrays = (xp.moveaxis(array, axis, -1).reshape(-1, n) for array in (result, scores, *masks, *others))
    if masks:
        visible = arrays.pop(1)
    for start in range(0, len(results), max(1, TILE_ENTRIES // n)):
        rows = slice(start, start + max(1, TILE_ENTRIES // n))
        scores_of, *others_of = (array[rows] for array in arrays)
        if masks:
            scores_of = xp.where(visible[rows], scores_of, -math.inf)
        mapped = rows_to_rows(scores_of, *others_of)
        results[rows] = xp.where(visible[rows], mapped, 0) if masks else mapped
    return xp.moveaxis(results.reshape(xp.moveaxis(result, axis, -1).shape), -1, axis)


def entmax_map(alpha: float, method: str = "auto", iterations: int = HALVINGS) -> RowMap:
    """Make the map of rows onto the simplex; hidden scores are -inf."""
    exact = method != "bisect"
    if alpha == 2 and exact:
        return _sparsemax

    def project(scores: Any) -> Any:
        xp, shifted = array_namespace(scores), _shifted(scores)
        if alpha == 1:
            p = xp.exp(shifted)
        elif alpha == 1.5 and exact:
            p = xp.maximum(shifted / 2 - _threshold(xp, shifted / 2), 0) ** 2
        else:
            p = _bisected(xp, shifted, alpha, iterations)
        total = p.sum(axis=-1, keepdims=True)
        return p / xp.where(total == 0, 1, total)

    return project


def _sparsemax(scores: Any) -> Any:
    xp, shifted = array_namespace(scores), _shifted(scores)
    finite, present, count = _descending(xp, shifted)
    supported = present & (1 + count * finite > xp.cumsum(finite, axis=-1))
    size = supported.sum(axis=-1, keepdims=True)
    total = xp.where(supported, finite, 0).sum(axis=-1, keepdims=True)
    return xp.maximum(shifted - (total - 1) / xp.maximum(size, 1).astype(scores.dtype), 0)


def _threshold(xp: Any, y: Any) -> Any:
    """Return the threshold of alpha 1.5, (..., 1); y is half the scores, hidden entries -inf."""
    finite, present, count = _descending(xp, y)
    mean = xp.cumsum(finite, axis=-1) / count
    spread = count * (xp.cumsum(finite * finite, axis=-1) / count - mean * mean)
    threshold = mean - xp.sqrt(xp.maximum((1 - spread) / count, 0))
    size = (present & (threshold <= finite)).sum(axis=-1, keepdims=True)
    return xp.take_along_axis(threshold, xp.maximum(size - 1, 0), axis=-1)


def _bisected(xp: Any, shifted: Any, alpha: float, iterations: int) -> Any:
    """Return p before its last division by the sum; the largest score is 0."""
    x = (alpha - 1) * shifted
    low = xp.full_like(x[..., :1], -1.0)
    high = xp.full_like(low, -(float(x.shape[-1]) ** (1 - alpha)))

    def power(threshold: Any) -> Any:
        return xp.maximum(x - threshold, 0) ** (1 / (alpha - 1))

    for _ in range(iterations):
        middle = (low + high) / 2
        too_much = power(middle).sum(axis=-1, keepdims=True) >= 1
        low, high = xp.where(too_much, middle, low), xp.where(too_much, high, middle)
    return power((low + high) / 2)


def _shifted(scores: Any) -> Any:
    """Return the scores with the largest of each row moved to 0; hidden ones stay -inf."""
    maximum = scores.max(axis=-1, keepdims=True)
    return scores - array_namespace(scores).where(maximum == -math.inf, 0, maximum)


def _descending(xp: Any, scores: Any) -> tuple[Any, Any, Any]:
    """Return the scores in descending order with 0 for those hidden, which come last; who is there; 1 to n."""
    ordered = -xp.sort(-scores, axis=-1)
    present = ordered != -math.inf
    return xp.where(present, ordered, 0), present, xp.arange(1, scores.shape[-1] + 1).astype(scores.dtype)
