"""Attention in a window about a place that is given or predicted.

All queries take the first key of their windows, then all the second, and so on: a row of each query's own is copied,
scored, and folded into the running (maximum, total, sum). So only keys of windows are read, and no array is larger than
the result, or than the queries' rows.
Bound by memory traffic: each of the w keys of a window is some ten passes over m (d + e) numbers. Wide windows take as
many steps as they have keys.
Differs from the reference by rounding, which may move a predicted center to the next key where it lies almost between
two.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from attlas_ref.contract import with_extras

from ..tile import logistic
from ..variational.choices import rows_at

__all__ = ["luong_local_attention", "windowed_soft_attention"]

FAR = 2**60
"""Beyond all keys, and yet far from overflow."""

ScoreAt = Callable[[Any], Any]
"""Maps the number of a key for each query, (..., m), to their scores."""


def windowed_soft_attention(
    query: Any,
    key: Any,
    value: Any,
    center: Any,
    *,
    left: int,
    right: int,
    scale: float | None,
    mask: Any,
    bias: Any,
    return_weights: bool,
) -> Any:
    """Return the mean of the values in a window, under the softmax of the window's scores."""
    xp = array_namespace(query)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale

    def score(j: Any) -> Any:
        scores = (query * rows_at(key, j)).sum(axis=-1) * factor
        return (
            scores
            if bias is None
            else scores + entries_at(bias, xp.arange(query.shape[-2]), j).astype(scores.dtype, copy=False)
        )

    place = _place(xp, center)
    output, weights = _folded(query, key, value, place, (left, right), score, mask, None, return_weights)
    return with_extras(output, weights=weights)


def luong_local_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    window: int,
    alignment: str,
    center: Any,
    w_position: Any,
    b_position: Any,
    v_position: Any,
    sigma: float | None,
    center_offset: float,
    score: str,
    w_score: Any,
    w_query: Any,
    w_key: Any,
    b_query: Any,
    v: Any,
    mask: Any,
    lengths: Any,
    return_weights: bool,
    return_center: bool,
) -> Any:
    """Find the centers, and attend in windows about them, under a bell if they are predicted."""
    xp, (m, p), n, dtype = array_namespace(query), query.shape[-2:], key.shape[-2], query.dtype
    if center is None and alignment == "monotonic":
        center = xp.arange(m).astype(dtype)
    elif center is None:
        hidden = query @ w_position if b_position is None else query @ w_position + b_position
        size = n if lengths is None else xp.asarray(lengths).astype(dtype)[..., None]
        center = size * logistic(xp, (xp.tanh(hidden) * v_position).sum(axis=-1)) + center_offset

    if score in ("dot", "general"):
        asked = query if score == "dot" else query @ w_score

        def score_at(j: Any) -> Any:
            return (asked * rows_at(key, j)).sum(axis=-1)

    else:
        if score == "concat":
            w_query, w_key, b_query = w_score[:p], w_score[p:], None
        asked, met = query @ w_query, key @ w_key
        asked = asked if b_query is None else asked + b_query

        def score_at(j: Any) -> Any:
            return (v * xp.tanh(asked + rows_at(met, j))).sum(axis=-1)

    bell = None
    if alignment == "predictive":
        width = window / 2 if sigma is None else sigma

        def bell(j: Any) -> Any:
            distance = (j.astype(dtype) - center) / width
            return xp.exp(-(distance * distance) / 2)

    unknown = xp.isnan(center)
    place = _place(xp, xp.rint(xp.where(unknown, 0, center)))
    output, weights = _folded(query, key, value, place, (window, window), score_at, mask, bell, return_weights)
    # A center that is no number has no window: whatever the row may see makes it NaN.
    visible = xp.ones((1, n), dtype=bool) if mask is None else mask[(None,) * (2 - mask.ndim)]
    spoiled = (unknown & visible.any(axis=-1) if n else unknown & False)[..., None]
    output = xp.where(spoiled, math.nan, output)
    if weights is not None:
        weights = xp.where(spoiled & visible, math.nan, weights)
    shown = xp.broadcast_to(center, output.shape[:-1]).copy() if return_center else None
    return with_extras(output, weights=weights, center=shown)


def _place(xp: Any, center: Any) -> Any:
    """Return centers as whole numbers; what is far beyond all keys stays so."""
    return xp.minimum(xp.maximum(center.astype("float64"), -FAR), FAR).astype("int64")


def entries_at(pairs: Any, i: Any, j: Any) -> Any:
    """Copy the entries (i, j), whose numbers broadcast, of what broadcasts to (..., m, n)."""
    xp, pairs = array_namespace(j), pairs[(None,) * (2 - pairs.ndim)]
    *members, rows, columns = pairs.shape
    ahead = len(members)
    places = [xp.arange(size).reshape(-1, *(1,) * (ahead - axis)) for axis, size in enumerate(members)]
    return pairs[(*places, i if rows > 1 else 0 * i, j if columns > 1 else 0 * j)]


def _folded(
    query: Any,
    key: Any,
    value: Any,
    place: Any,
    reach: tuple[int, int],
    score: ScoreAt,
    mask: Any,
    bell: ScoreAt | None,
    return_weights: bool,
) -> tuple[Any, Any]:
    """Fold the windows key by key; return the output, and the weights or None."""
    xp, dtype, n, m, e = array_namespace(query), query.dtype, key.shape[-2], query.shape[-2], value.shape[-1]
    leading = (query.shape[:-2], key.shape[:-2], place.shape[:-1], *(() if mask is None else (mask.shape[:-2],)))
    own = np.broadcast_shapes(*leading)
    left, right = (min(side, FAR) for side in reach)
    begin, end = (xp.minimum(xp.maximum(x, 0), n) for x in (place - left, place + right + 1))
    maximum = xp.zeros((*own, m), dtype=dtype) - math.inf
    total = xp.zeros((*own, m), dtype=dtype)
    output = xp.zeros((*np.broadcast_shapes(own, value.shape[:-2]), m, e), dtype=dtype)
    kept = []
    for t in range(min(n, left + right + 1)):
        inside = begin + t < end
        j = xp.minimum(begin + t, n - 1)
        visible = inside if mask is None else inside & entries_at(mask, xp.arange(m), j)
        scores = xp.where(visible, score(j), -math.inf)
        larger = xp.maximum(maximum, scores)
        shift = xp.where(larger == -math.inf, 0, larger)
        weight, rescale = xp.exp(scores - shift), xp.exp(maximum - shift)
        total, maximum = rescale * total + weight, larger
        weight = weight if bell is None else weight * bell(j)
        added = xp.where(visible[..., None], weight[..., None] * rows_at(value, j), 0)
        output = rescale[..., None] * output + added
        if return_weights:
            kept.append((scores, visible, j, inside))
    divisor = xp.where(total == 0, 1, total)
    output = output / divisor[..., None]
    if not return_weights:
        return output, None
    own = maximum.shape[:-1]
    # One column more, for what the windows lack at the edges.
    weights = xp.zeros((math.prod(own) * m, n + 1), dtype=dtype)
    row, shift = xp.arange(math.prod(own) * m), xp.where(maximum == -math.inf, 0, maximum)
    for scores, visible, j, inside in kept:
        weight = xp.exp(scores - shift) / divisor
        weight = xp.where(visible, weight if bell is None else weight * bell(j), 0)
        column = xp.broadcast_to(xp.where(inside, j, n), (*own, m))
        weights[row, column.reshape(-1)] = xp.broadcast_to(weight, (*own, m)).reshape(-1)
    return output, weights[:, :n].reshape(*own, m, n)
