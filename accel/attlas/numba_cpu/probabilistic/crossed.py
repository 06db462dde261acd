"""Combiner-Mixture: a grid read along rows and along columns at once.

Every set of keys is a piece over rows or over columns: the own row, the own column, the columns above as groups, and
the rows above as two groups each, what lies left and right of the token's column. All groups are prefixes or suffixes
of lines, so what stands for them comes from running maxima (or means), and what they hold from attention along it.

Bound by: multiply-adds, about 4 n (block + n / block)(d + e), in calls of the tile template (see `pieces`). Differs
from the reference by rounding.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult

from ..attention import dot_scale
from ..operands import Array
from .pieces import Piece, attended, flat, grid, piece_of, weighted

__all__ = ["combiner_mixture_attention"]


def _before(x: Array, summary: str, axis: int) -> Array:
    """What stands for all that comes before each entry along an axis; zeros for the first, which has nothing."""
    x = np.moveaxis(x, axis, 0)
    result = np.zeros_like(x)
    if summary == "max":
        np.maximum.accumulate(x[:-1], axis=0, out=result[1:])
    else:
        count = np.arange(1, x.shape[0], dtype=x.dtype).reshape(-1, *(1,) * (x.ndim - 1))
        np.divide(np.cumsum(x[:-1], axis=0), count, out=result[1:])
    return np.moveaxis(result, 0, axis)


def _mirrored(*arrays: Array) -> Any:
    """View grids with their columns in the opposite order."""
    return tuple(x[..., ::-1, :] for x in arrays)


def combiner_mixture_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    block: int,
    summary: str,
    scale: float | None,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.probabilistic.combiner_mixture_attention`."""
    scale, n = dot_scale(scale, query), query.shape[-2]
    q, k, v = (grid(x, block) for x in (query, key, value))
    rows, each = n // block, np.arange(block)
    # For every token what reads the tokens above it, left of it and right of it in its own line.
    above = piece_of(_before(q, summary, -3), k, v, columns=True, diagonal=-1)
    left = Piece(_before(q, summary, -2), k, v, diagonal=-1)
    right = piece_of(_before(_mirrored(q)[0], summary, -2), *_mirrored(k, v), diagonal=-1)
    above_key, left_key = _before(k, summary, -3), _before(k, summary, -2)
    (right_key,) = _mirrored(_before(_mirrored(k)[0], summary, -2))
    above_value, left_value = attended([above], scale), attended([left], scale)
    (right_value,) = _mirrored(attended([right], scale))
    others = (np.arange(rows) > 0)[:, None, None] & (each[:, None] != each)  # (rows, block, block)
    some_left, some_right = (each > 0)[:, None, None], (each < block - 1)[:, None, None]  # (block, 1, 1)
    pieces = [
        Piece(q, k, v, diagonal=0),
        piece_of(q, k, v, columns=True, diagonal=-1),
        Piece(q, above_key, above_value, mask=others),
        piece_of(q, left_key, left_value, columns=True, diagonal=-1, mask=some_left),
        piece_of(q, right_key, right_value, columns=True, diagonal=-1, mask=some_right),
    ]
    output = flat(attended(pieces, scale))
    if not return_weights:
        return output
    own, column, *met = weighted(pieces, scale)
    inner = [weighted([piece], scale)[0] for piece in (above, left, right)]
    inner[2] = inner[2][..., ::-1, ::-1]
    # Of token (r, c) to token (t, u); selected, so that what a group holds is felt by those alone who meet it.
    earlier = np.tri(rows, k=-1, dtype=bool)[:, None, :, None]
    by_column = met[0][..., None, :] * inner[0].swapaxes(-3, -2).swapaxes(-2, -1)[..., None, :, :]
    whole = np.where(earlier & others[:, :, None, :], by_column, 0)
    for shared, within, some in ((met[1], inner[1], some_left), (met[2], inner[2], some_right)):
        by_row = np.moveaxis(shared, -3, -2)[..., None] * within.swapaxes(-3, -2)[..., None, :, :, :]
        whole = whole + np.where(earlier & some, by_row, 0)
    lines = np.arange(rows)
    whole[..., lines, :, lines, :] += np.moveaxis(own, -3, 0)
    whole[..., :, each, :, each] += np.moveaxis(column, -3, 0)
    return AttentionResult(output, whole.reshape(*whole.shape[:-4], n, n))
