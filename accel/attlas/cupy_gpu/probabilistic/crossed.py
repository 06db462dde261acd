"""Combiner-Mixture: a grid read along rows and along columns at once.

Every set of keys is a piece over rows or over columns: the own row, the own column, the columns above as groups, and
the rows above as two groups each, what lies left and right of the token's column. All groups are prefixes or suffixes
of lines, so what stands for them comes from running maxima (or means), and what they hold from attention along it.

Bound by memory traffic: the passes over the tiles of eight sets of keys (see `pieces`), about 4 n (block + n / block)
scores. No array is larger than n (d + e) numbers or a tile, but the weights, if asked for. Differs from the reference
by rounding.
"""

from typing import Any

from array_api_compat import array_namespace

from attlas_ref.contract import AttentionResult

from .combiner import along_rows, in_own_row, lines_before, of_all_tokens
from .pieces import Piece, attended, flat, grid, piece_of, weighted

__all__ = ["combiner_mixture_attention"]


def combiner_mixture_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    block: int,
    summary: str,
    scale: float | None,
    return_weights: bool,
) -> Any:
    """Return the mean of the values under the softmax over the own row and column and what lies beside both."""
    xp, rows = array_namespace(query), query.shape[-2] // block
    q, k, v = (grid(x, block) for x in (query, key, value))
    column, row = xp.arange(block), xp.arange(rows)
    # For every token what reads the tokens above it, left of it and right of it in its own line.
    above = piece_of(_before(xp, q, summary, -3), k, v, columns=True, diagonal=-1)
    left = Piece(_before(xp, q, summary, -2), k, v, diagonal=-1)
    right = Piece(_before(xp, _mirrored(q), summary, -2), _mirrored(k), _mirrored(v), diagonal=-1)
    above_key, left_key = _before(xp, k, summary, -3), _before(xp, k, summary, -2)
    right_key = _mirrored(_before(xp, _mirrored(k), summary, -2))
    above_value, left_value = attended([above], scale), attended([left], scale)
    right_value = _mirrored(attended([right], scale))
    others = (row > 0)[:, None, None] & (column[:, None] != column)  # (rows, block, block)
    some_left, some_right = (column > 0)[:, None, None], (column < block - 1)[:, None, None]  # (block, 1, 1)
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
    own, own_column, by_column, by_left, by_right = weighted(pieces, scale)
    of_above, of_left, of_right = (weighted([piece], scale)[0] for piece in (above, left, right))
    # Of token (r, c) to token (t, u); selected, so that what a group holds is felt by those alone who meet it.
    earlier = lines_before(xp, rows)[:, None, :, None]  # (rows, 1, rows, 1)
    # The share of column u, (..., rows, block, 1, block), times what is read in it, (..., block, rows, rows).
    read = of_above.swapaxes(-3, -2).swapaxes(-2, -1)[..., None, :, :]  # (..., rows, 1, rows, block)
    whole = xp.where(earlier & others[:, :, None, :], by_column[..., None, :] * read, 0)
    whole = whole + xp.where(some_left, along_rows(xp, by_left, of_left), 0)
    whole = whole + xp.where(some_right, along_rows(xp, by_right, of_right[..., ::-1, ::-1]), 0)
    # The own column: token (r, c) reads (t, c), (..., block, rows, rows).
    same = (column[:, None] == column)[:, None, :]  # (block, 1, block)
    whole = whole + xp.where(earlier & same, own_column.swapaxes(-3, -2)[..., None], 0)
    return AttentionResult(output, of_all_tokens(whole + in_own_row(own)))


def _mirrored(x: Any) -> Any:
    """View a grid with its columns in the opposite order."""
    return x[..., ::-1, :]


def _before(xp: Any, x: Any, summary: str, axis: int) -> Any:
    """Return what stands for all that comes before each entry along an axis; zeros for the first, which has nothing.

    A running maximum doubles its reach in every round.
    """
    x = xp.moveaxis(x, axis, 0)
    result, size = xp.zeros_like(x), x.shape[0]
    if summary == "max":
        running, reach = result[1:], 1
        running[...] = x[:-1]
        while reach < size - 1:
            running[reach:] = xp.maximum(running[reach:], running[:-reach])
            reach *= 2
    else:
        count = xp.arange(1, max(size, 1)).astype(x.dtype).reshape(-1, *(1,) * (x.ndim - 1))
        result[1:] = xp.cumsum(x[:-1], axis=0) / count
    return xp.moveaxis(result, 0, axis)
