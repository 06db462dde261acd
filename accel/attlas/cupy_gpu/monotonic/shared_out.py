"""Attention in segments that share the keys out.

A key belongs to one query at most, so all that a segment needs is known by key: its score, and how far it is from the
segment's beginning. Maxima, totals and sums run along the segments in log2(n) steps, each of which joins stretches of
twice the length, all segments at once and however long they are; their last keys then hold what the queries read.
Bound by memory traffic: log2(n) passes over n (e + 2) numbers; no pairs are made but the weights, if asked for.
Differs from the reference by rounding.
"""

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from attlas_ref.contract import AttentionResult

from ..variational.choices import rows_at
from .near import entries_at

__all__ = ["segmental_soft_attention"]


def segmental_soft_attention(
    query: Any,
    key: Any,
    value: Any,
    boundaries: Any,
    *,
    scale: float | None,
    mask: Any,
    bias: Any,
    return_weights: bool,
) -> Any:
    """Return the mean of the values of each segment, under the softmax of the segment's scores."""
    xp, dtype, m, n = array_namespace(query), query.dtype, query.shape[-2], key.shape[-2]
    given = [(query, 2), (key, 2), (boundaries, 1), *((x, 2) for x in (mask, bias) if x is not None)]
    own = np.broadcast_shapes(*(array.shape[: max(0, array.ndim - core)] for array, core in given))
    if m == 0 or n == 0:
        batch = np.broadcast_shapes(own, value.shape[:-2])
        empty = xp.zeros((*batch, m, value.shape[-1]), dtype=dtype)
        return AttentionResult(empty, xp.zeros((*own, m, n), dtype=dtype)) if return_weights else empty
    ends = boundaries.astype("int64")  # (..., m)
    befores = xp.concatenate([xp.zeros_like(ends[..., :1]) - 1, ends[..., :-1]], axis=-1)
    owner = xp.minimum(_owners(xp, ends, n), m - 1)  # (..., n)
    j = xp.arange(n)
    inside = j <= xp.take_along_axis(ends, owner, axis=-1)  # not what stands after the last segment
    since = j - xp.take_along_axis(befores, owner, axis=-1) - 1

    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = (rows_at(query, owner) * key).sum(axis=-1) * factor
    if bias is not None:
        scores = scores + entries_at(bias, owner, j).astype(dtype, copy=False)
    visible = inside if mask is None else inside & entries_at(mask, owner, j)
    scores = xp.where(visible, scores, -math.inf)  # (..., n)

    last = xp.maximum(ends, 0)
    own_last = xp.take_along_axis(last, owner, axis=-1)
    tops = _along(xp, scores[..., None], since, xp.maximum)[..., 0]
    top = xp.take_along_axis(tops, xp.broadcast_to(own_last, tops.shape), axis=-1)
    # Selected, not multiplied by 0: what is hidden may be no number.
    weight = xp.where(visible, xp.exp(scores - xp.where(top == -math.inf, 0, top)), 0)
    totals = rows_at(_along(xp, weight[..., None], since, operator.add), last)  # (..., m, 1)
    read = xp.where(visible[..., None], weight[..., None] * value, 0)
    summed = rows_at(_along(xp, read, since, operator.add), last)  # (..., m, e)
    filled = (ends > befores)[..., None]
    divisor = xp.where(totals == 0, 1, totals)
    output = xp.where(filled, summed / divisor, 0)
    if not return_weights:
        return output
    weights = xp.zeros((math.prod(own), m, n), dtype=dtype)
    share = xp.where(visible, weight / rows_at(divisor, owner)[..., 0], 0)
    flat = [xp.broadcast_to(x, (*own, n)).reshape(-1, n) for x in (owner, share)]
    weights[xp.arange(math.prod(own))[:, None], flat[0], j] = flat[1]
    return AttentionResult(output, weights.reshape(*own, m, n))


def _owners(xp: Any, ends: Any, n: int) -> Any:
    """Return the number of each key's segment, (..., n): how many segments end before it.

    The ends of all members stand in one sorted row, each member's above those of the one before.
    """
    *leading, m = ends.shape
    members = math.prod(leading)
    above = (xp.arange(members) * (n + 2))[:, None]
    row = (ends.reshape(members, m) + 1 + above).reshape(-1)
    keys = (xp.arange(n) + 1 + above).reshape(-1)
    count = xp.searchsorted(row, keys).reshape(members, n) - (xp.arange(members) * m)[:, None]
    return count.reshape(*leading, n)


def _along(xp: Any, numbers: Any, since: Any, join: Callable[[Any, Any], Any]) -> Any:
    """Join what stands in each segment up to each key, (..., n, width): at the last key all of it."""
    n, span = numbers.shape[-2], 1
    while span < n:
        reaches = (since[..., span:] >= span)[..., None]
        later = xp.where(reaches, join(numbers[..., span:, :], numbers[..., :-span, :]), numbers[..., span:, :])
        leading = later.shape[:-2]
        first = xp.broadcast_to(numbers[..., :span, :], (*leading, span, numbers.shape[-1]))
        numbers = xp.concatenate([first, later], axis=-2)
        span *= 2
    return numbers
