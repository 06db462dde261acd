"""Combiner-Fixed and Combiner-Axial: the own block key by key, the others in groups.

The sequence is a grid of blocks; its axes are views. Bound by: multiply-adds, n (block + n / block)(d + e), in calls of
the tile template (see `pieces`); no array is larger than n (d + e) numbers but the weights, if asked for.
Differs from the reference by rounding.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult

from ..attention import attend, dot_scale
from ..dense import build_softmax
from ..operands import Array
from .pieces import Piece, attended, piece_of, shares, summarized, weighted

__all__ = ["combiner_axial_attention", "combiner_fixed_attention"]


def grid(x: Array, block: int) -> Array:
    """View tokens (..., n, width) as (..., n / block, block, width)."""
    return x.reshape(*x.shape[:-2], x.shape[-2] // block, block, x.shape[-1])


def flat(x: Array) -> Array:
    """Take a grid (..., rows, columns, width) back to tokens."""
    return x.reshape(*x.shape[:-3], x.shape[-3] * x.shape[-2], x.shape[-1])


def combiner_fixed_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    block: int,
    causal: bool,
    summary: str,
    scale: float | None,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.probabilistic.combiner_fixed_attention`."""
    scale, n = dot_scale(scale, query), query.shape[-2]
    q, k, v = (grid(x, block) for x in (query, key, value))
    rows = n // block
    group_key, group_value = (x[..., None, :, :] for x in summarized(q, k, v, scale, summary))
    earlier = np.tri(rows, k=-1, dtype=bool)[:, None] if causal else None  # (rows, 1, rows)
    own = Piece(q, k, v, diagonal=0 if causal else None)
    groups = Piece(q, group_key, group_value, mask=earlier)
    output = flat(attended([own, groups], scale))
    if not return_weights:
        return output
    direct, met = weighted([own, groups], scale)  # (..., rows, block, block), (..., rows, block, rows)
    inner = shares(q, k, scale, summary)[..., None, None, :, :]  # (..., 1, 1, rows, block)
    whole = met[..., None] * inner  # (..., rows, block, rows, block)
    if earlier is not None:
        # Selected, not multiplied by 0: what a group holds is not felt by queries that do not meet it.
        whole = np.where(earlier[..., None], whole, 0)
    each = np.arange(rows)
    whole[..., each, :, each, :] += np.moveaxis(direct, -3, 0)
    return AttentionResult(output, whole.reshape(*whole.shape[:-4], n, n))


def combiner_axial_attention(
    query: Array,
    key: Array,
    value: Array,
    summary_key: Array | None = None,
    *,
    block: int,
    scale: float | None,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.probabilistic.combiner_axial_attention`."""
    scale, n = dot_scale(scale, query), query.shape[-2]
    q, k, v = (grid(x, block) for x in (query, key, value))
    options: dict[str, Any] = {"mask": None, "bias": None, "causal": False}
    read = attend(build_softmax, q, k, v, scale, 1.0, return_weights=return_weights, **options)
    reading, inner = read if return_weights else (read, np.empty(0))
    if summary_key is None:
        met = attend(build_softmax, q, k, k, scale, 1.0, return_weights=False, **options)
    else:
        met = grid(summary_key, block)
    above = piece_of(q, met, reading, columns=True, diagonal=-1)
    own = Piece(q, k, v, diagonal=0)
    output = flat(attended([own, above], scale))
    if not return_weights:
        return output
    direct, shared = weighted([own, above], scale)  # (..., rows, block, block), (..., block, rows, rows)
    rows = n // block
    earlier = np.tri(rows, k=-1, dtype=bool)[:, None, :, None]  # (rows, 1, rows, 1)
    # Of token (r, c): the share of (t, c) times what that reads of row t.
    shared = np.moveaxis(shared, -3, -2)[..., None]  # (..., rows, block, rows, 1)
    whole = np.where(earlier, shared * inner.swapaxes(-3, -2)[..., None, :, :, :], 0)
    each = np.arange(rows)
    whole[..., each, :, each, :] += np.moveaxis(direct, -3, 0)
    return AttentionResult(output, whole.reshape(*whole.shape[:-4], n, n))
