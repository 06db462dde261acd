"""Combiner-Fixed and Combiner-Axial: the own block key by key, the others in groups.

Bound by memory traffic: the passes over the tiles of two sets of keys (see `pieces`), n (block + n / block) scores. No
array is larger than n (d + e) numbers or a tile, but the weights, if asked for. Differs from the reference by rounding.
"""

from typing import Any

from array_api_compat import array_namespace

from attlas_ref.contract import AttentionResult

from ..dotproduct import softmax_attention
from .pieces import Piece, attended, flat, grid, piece_of, shares, summarized, weighted

__all__ = ["combiner_axial_attention", "combiner_fixed_attention"]


def combiner_fixed_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    block: int,
    causal: bool,
    summary: str,
    scale: float | None,
    return_weights: bool,
) -> Any:
    """Return the mean of the values under the softmax over the own block and the other blocks as one key each."""
    xp, rows = array_namespace(query), query.shape[-2] // block
    q, k, v = (grid(x, block) for x in (query, key, value))
    group_key, group_value = (x[..., None, :, :] for x in summarized(q, k, v, scale, summary))
    earlier = lines_before(xp, rows)[:, None] if causal else None  # (rows, 1, rows)
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
        whole = xp.where(earlier[..., None], whole, 0)
    return AttentionResult(output, of_all_tokens(whole + in_own_row(direct)))


def combiner_axial_attention(
    query: Any,
    key: Any,
    value: Any,
    summary_key: Any = None,
    *,
    block: int,
    scale: float | None,
    return_weights: bool,
) -> Any:
    """Return the mean of the values under the softmax over the own row and what the tokens above have read."""
    xp = array_namespace(query)
    q, k, v = (grid(x, block) for x in (query, key, value))
    options: dict[str, Any] = {"temperature": 1.0, "scale": scale, "mask": None, "bias": None, "causal": False}
    reading = softmax_attention(q, k, v, return_weights=False, **options)
    if summary_key is None:
        met = softmax_attention(q, k, k, return_weights=False, **options)
    else:
        met = grid(summary_key, block)
    above = piece_of(q, met, reading, columns=True, diagonal=-1)
    own = Piece(q, k, v, diagonal=0)
    output = flat(attended([own, above], scale))
    if not return_weights:
        return output
    (inner,) = weighted([Piece(q, k, v)], scale)
    direct, shared = weighted([own, above], scale)  # (..., rows, block, block), (..., block, rows, rows)
    return AttentionResult(output, of_all_tokens(along_rows(xp, shared, inner) + in_own_row(direct)))


def lines_before(xp: Any, size: int) -> Any:
    """Return which lines come before which, (size, size)."""
    return xp.arange(size) < xp.arange(size)[:, None]


def along_rows(xp: Any, shared: Any, inner: Any) -> Any:
    """Return weights of token (r, c) on token (t, u), (..., rows, block, rows, block): of earlier rows alone.

    They are the share of row t that token (r, c) has, (..., block, rows, rows), times what is read of it in its column,
    (..., rows, block, block).
    """
    whole = shared.swapaxes(-3, -2)[..., None] * inner.swapaxes(-3, -2)[..., None, :, :, :]
    return xp.where(lines_before(xp, shared.shape[-1])[:, None, :, None], whole, 0)


def in_own_row(direct: Any) -> Any:
    """Spread weights within rows (..., rows, block, block) to (..., rows, block, rows, block)."""
    xp, rows = array_namespace(direct), direct.shape[-3]
    here = xp.arange(rows)[:, None, None, None] == xp.arange(rows)[:, None]  # (rows, 1, rows, 1)
    return xp.where(here, direct[..., None, :], 0)


def of_all_tokens(whole: Any) -> Any:
    """Take weights (..., rows, block, rows, block) to (..., n, n)."""
    *leading, rows, block, _, _ = whole.shape
    return whole.reshape(*leading, rows * block, rows * block)
