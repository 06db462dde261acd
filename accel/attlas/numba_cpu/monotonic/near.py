"""Attention in a window, in a segment, and about a center that is predicted: runs of keys, on the CPU.

Where a run begins and ends is found for all queries at once, O(m); the rest is left to `runs`. A predicted center takes
m p c multiply-adds more, and rounding may move it to the next key where it lies almost between two.
"""

from typing import Any

import numpy as np
from scipy.special import expit

from attlas_ref.contract import with_extras

from ..attention import dot_scale
from ..operands import Array, lean
from ..product import projected
from .runs import Run, attend_runs

__all__ = ["luong_local_attention", "segmental_soft_attention", "windowed_soft_attention"]

FAR = 2**60
"""Beyond all keys, and yet far from overflow."""


def windowed_soft_attention(
    query: Array,
    key: Array,
    value: Array,
    center: Array,
    *,
    left: int,
    right: int,
    scale: float | None,
    mask: Array | None,
    bias: Array | None,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.monotonic.windowed_soft_attention`."""
    n, place = key.shape[-2], np.clip(lean(center[..., None]).astype(np.float64), -FAR, FAR).astype(np.int64)
    bounds = np.clip(np.concatenate([place - min(left, FAR), place + min(right, FAR) + 1], axis=-1), 0, n)
    run = Run(np.broadcast_to(bounds, (*center.shape, 2)), dot_scale(scale, query), mask, bias)
    return attend_runs(query, key, value, run, return_weights)


def segmental_soft_attention(
    query: Array,
    key: Array,
    value: Array,
    boundaries: Array,
    *,
    scale: float | None,
    mask: Array | None,
    bias: Array | None,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.monotonic.segmental_soft_attention`."""
    ends = lean(boundaries[..., None]).astype(np.int64) + 1  # (..., m, 1)
    begins = np.concatenate([np.zeros_like(ends[..., :1, :]), ends[..., :-1, :]], axis=-2)
    bounds = np.broadcast_to(np.concatenate([begins, ends], axis=-1), (*boundaries.shape, 2))
    run = Run(bounds, dot_scale(scale, query), mask, bias)
    return attend_runs(query, key, value, run, return_weights)


def luong_local_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    window: int,
    alignment: str,
    center: Array | None,
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
    v: Array | None,
    mask: Array | None,
    lengths: Array | None,
    return_weights: bool,
    return_center: bool,
) -> Any:
    """See `attlas_ref.monotonic.luong_local_attention`."""
    (m, p), n, dtype = query.shape[-2:], key.shape[-2], query.dtype
    if center is None and alignment == "monotonic":
        center = np.arange(m, dtype=dtype)
    elif center is None:
        logits = np.tanh(projected(query, w_position, b_position)) @ v_position
        size = n if lengths is None else lengths[..., None].astype(dtype)
        center = np.asarray(size * expit(logits) + dtype.type(center_offset), dtype=dtype)
    with np.errstate(all="ignore"):
        place = np.rint(center)[..., None].astype(np.float64)
        # A center that is no number has no window: it is let through to all keys, to make its row NaN.
        unknown, reach = np.isnan(place), float(min(window, FAR))
        begins = np.where(unknown, 0, np.clip(place - reach, 0, n))
        ends = np.where(unknown, n, np.clip(place + reach + 1, 0, n))
    bounds = np.concatenate([begins, ends], axis=-1).astype(np.int64)

    asked, met, units = query, key, None
    if score == "general":
        asked = projected(query, w_score)
    elif score == "concat":
        asked, met, units = projected(query, w_score[:p]), projected(key, w_score[p:]), v
    elif score == "additive":
        asked = projected(query, w_query, b_query)
        met, units = projected(key, w_key), v
    width = None
    if alignment == "predictive":
        width = window / 2 if sigma is None else sigma
    run = Run(bounds, 1.0, mask, None, units, center, width)
    found = attend_runs(asked, met, value, run, return_weights)
    output, weights = found if return_weights else (found, None)
    shown = np.broadcast_to(center, output.shape[:-1]).copy() if return_center else None
    return with_extras(output, weights=weights, center=shown)
