"""Softmax attention to several sets of keys at once.

A query of Combiner meets some keys one by one and others in groups, and the two are laid out differently: the tokens
of a row together, or those of a column. Every set is streamed by itself, and what it leaves, (maximum, total, sums), is
merged. Tokens are kept as a grid (..., rows, columns, width), whose axes are views.

Bound by memory traffic: the passes of each set over its tiles; merging reads and writes the sums once. Differs from the
reference by rounding.
"""

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

from array_api_compat import array_namespace

from ..dotproduct import attention_partial, softmax_attention
from ..streams import softmax_weights
from ..tile import Tiles, dot_scores


class Piece(NamedTuple):
    """One set of keys for every row of the grid, or for every column."""

    query: Any
    """(..., rows, columns, d), or (..., columns, rows, d) if turned."""
    key: Any
    """(..., rows or 1, keys, d), or the like of columns."""
    value: Any
    turned: bool = False
    """Whether the columns come first."""
    mask: Any = None
    diagonal: int | None = None
    """Key j is seen from query j - diagonal on."""

    def seen(self) -> dict[str, Any]:
        """Return who sees whom, as the options of attention."""
        return {"mask": self.mask, "bias": None, "causal": self.diagonal is not None}

    def back(self, array: Any) -> Any:
        """Turn a result into the order of the grid, or back."""
        return array.swapaxes(-3, -2) if self.turned else array


def piece_of(*arrays: Any, columns: bool = False, **options: Any) -> Piece:
    """Make a piece of grids (query, key, value), turned if it runs over columns."""
    query, key, value = (x.swapaxes(-3, -2) if columns else x for x in arrays)
    return Piece(query, key, value, turned=columns, **options)


def grid(x: Any, block: int) -> Any:
    """View tokens (..., n, width) as (..., n / block, block, width)."""
    return x.reshape(*x.shape[:-2], x.shape[-2] // block, block, x.shape[-1])


def flat(x: Any) -> Any:
    """Take a grid (..., rows, columns, width) back to tokens."""
    return x.reshape(*x.shape[:-3], x.shape[-3] * x.shape[-2], x.shape[-1])


def attended(pieces: Sequence[Piece], scale: float | None) -> Any:
    """Return the output of every token, (..., rows, columns, e)."""
    merged, _, whole = _run(pieces, scale)
    return reduce(lambda one, other: one + other, (sums * (factor / whole) for sums, factor in merged))


def weighted(pieces: Sequence[Piece], scale: float | None) -> list[Any]:
    """Return the weights of every piece, (..., rows, columns, keys), or in the piece's own order if turned."""
    _, maximum, whole = _run([piece._replace(value=piece.value[..., :0]) for piece in pieces], scale)
    result = []
    for piece in pieces:
        score, top, total = dot_scores(piece.query, piece.key, scale, None), piece.back(maximum), piece.back(whole)
        tiles = Tiles(piece.query, piece.key, offset=piece.diagonal, **piece.seen(), scored=[top])
        weights = tiles.zeros(tiles.pair_leading, tiles.m, tiles.n)
        for band in tiles.bands():
            final = softmax_weights(tiles, score, band.of_queries(top), band.of_queries(total))
            for tile, visible in tiles.along(band):
                tile.of_pairs(weights)[...] = tiles.select(visible, final(tile), 0)
        result.append(weights)
    return result


def _run(pieces: Sequence[Piece], scale: float | None) -> tuple[list[tuple[Any, Any]], Any, Any]:
    """Return the sums and factors of every piece, and the maximum and total of all, (..., rows, columns, 1)."""
    xp, partials = array_namespace(pieces[0].query), []
    for piece in pieces:
        offset = 0 if piece.diagonal is None else piece.diagonal
        maximum, total, sums = attention_partial(
            piece.query, piece.key, piece.value, scale=scale, query_offset=offset, key_offset=0, **piece.seen()
        )
        partials.append([piece.back(x) for x in (maximum[..., None], total[..., None], sums)])
    largest = reduce(xp.maximum, (maximum for maximum, _, _ in partials))
    shift = finite(xp, largest)
    whole: Any = 0.0
    merged = []
    for maximum, total, sums in partials:
        factor = xp.exp(maximum - shift)
        whole = whole + factor * total
        merged.append((sums, factor))
    return merged, largest, xp.where(whole == 0, 1, whole)


def summarized(query: Any, key: Any, value: Any, scale: float | None, summary: str) -> tuple[Any, Any]:
    """Return the key (..., groups, d) and the value (..., groups, e) of every group (..., groups, members, width)."""
    return represented(key, summary)[..., 0, :], _inner(query, key, value, scale, summary, False)[..., 0, :]


def shares(query: Any, key: Any, scale: float | None, summary: str) -> Any:
    """Return p(j | group), (..., groups, members)."""
    return _inner(query, key, key[..., :0], scale, summary, True).weights[..., 0, :]


def represented(x: Any, summary: str) -> Any:
    """Return what stands for groups (..., members, width): (..., 1, width)."""
    if summary == "max":
        return x.max(axis=-2, keepdims=True)
    return x.sum(axis=-2, keepdims=True) / x.shape[-2]


def finite(xp: Any, maximum: Any) -> Any:
    """Return the maximum, and 0 where there is none."""
    return xp.where(maximum == -math.inf, 0, maximum)


def _inner(query: Any, key: Any, value: Any, scale: float | None, summary: str, return_weights: bool) -> Any:
    return softmax_attention(
        represented(query, summary),
        key,
        value,
        temperature=1.0,
        scale=scale,
        mask=None,
        bias=None,
        causal=False,
        return_weights=return_weights,
    )
