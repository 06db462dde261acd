"""Softmax attention to several sets of keys at once.

A query of Combiner meets some keys one by one and others in groups, and the two are laid out differently: the tokens
of a row together, or those of a column. Every set is one call of the tile template, which begins with the (maximum,
total, sums) that the set before it has left: nothing is merged afterwards. Queries are kept as a grid
(..., rows, columns, width).

Bound by: the multiply-adds of the sets; between two of them the sums are written and read once. Differs from the
reference by rounding.
"""

from typing import Any, NamedTuple

import numpy as np

from ..attention import kernels_of, score_batch
from ..blocks import pack
from ..compile import part
from ..dense import build_softmax, dot_score
from ..operands import Array, Problem, lay_out, over_queries
from ..real import Real
from ..tile import build_forward, build_parts, from_nothing, softmax, span

CAUSAL_QUERIES = 32
"""Queries of a task where keys are hidden behind a diagonal: so a quarter of a square of 64 is not computed."""


def grid(x: Array, block: int) -> Array:
    """View tokens (..., n, width) as (..., n / block, block, width)."""
    return x.reshape(*x.shape[:-2], x.shape[-2] // block, block, x.shape[-1])


def flat(x: Array) -> Array:
    """Take a grid (..., rows, columns, width) back to tokens."""
    return x.reshape(*x.shape[:-3], x.shape[-3] * x.shape[-2], x.shape[-1])


def build_continued(real: Real) -> Any:
    """Make the kernel of one set; parameters (scale, 1, whether it goes on), `extra` and `gradient`: sums and
    statistics so far."""
    zero, begin = real.number(0), from_nothing(real)

    def enter(operands, scratch, results, member, first, used, lanes):
        size, sums, statistics = operands.size, operands.extra, operands.gradient
        if operands.parameters[2] > zero:
            pack(scratch.sums, sums, sums.places[member] + first * sums.row, used, lanes, size.e, zero)
            at = statistics.places[member] + first * statistics.row
            pack(scratch.maximum, statistics, at, used, lanes, 1, zero)
            pack(scratch.total, statistics, at + statistics.column, used, lanes, 1, zero)
            return span(size, first, used)
        return begin(operands, scratch, results, member, first, used, lanes)

    parts = build_parts(real, dot_score)
    return build_forward("continued", real, parts, softmax(real).step, part(enter, of=str(real.dtype)))


class Sofar(NamedTuple):
    """What some sets have left, in the order of the grid."""

    sums: Array
    """(..., rows, columns, e)."""
    statistics: Array
    """(..., rows, columns, 2): maximum and total."""


class Piece(NamedTuple):
    """One set of keys for every row of the grid, or for every column."""

    query: Array
    """(..., rows, columns, d), or (..., columns, rows, d) if turned."""
    key: Array
    """(..., rows or 1, keys, d), or the like of columns."""
    value: Array
    turned: bool = False
    """Whether the columns come first."""
    mask: Array | None = None
    diagonal: int | None = None

    def problem(
        self,
        scale: float,
        value: Array,
        leading: tuple[int, ...] = (),
        *,
        sofar: Sofar | None = None,
        mask: Array | None = None,
        divide: bool = False,
    ) -> Problem:
        """Lay the set out, with values or what stands for them, and such leading axes at least."""
        sums, statistics = (None, None) if sofar is None else (self.back(x, 1) for x in sofar)
        before = () if sums is None or statistics is None else (sums.shape[:-2], statistics.shape[:-2])
        return lay_out(
            self.query,
            self.key,
            value,
            mask=mask,
            bias=None,
            extra=sums,
            gradient=statistics,
            diagonal=self.diagonal,
            batch=np.broadcast_shapes(score_batch(self.query, self.key, value), (*leading, 1), *before),
            parameters=(scale, 1.0, float(sofar is not None)),
            divide=divide,
            finite=False,
            queries_per_block=None if self.diagonal is None else CAUSAL_QUERIES,
        )

    def back(self, array: Array, inner: int) -> Array:
        """Turn a result with so many axes behind the tokens' into the order of the grid, or back."""
        return array.swapaxes(-2 - inner, -1 - inner) if self.turned else array


def piece_of(*arrays: Any, columns: bool = False, **options: Any) -> Piece:
    """Make a piece of grids (query, key, value), turned if it runs over columns."""
    query, key, value = (x.swapaxes(-3, -2) if columns else x for x in arrays)
    return Piece(query, key, value, turned=columns, **options)


def _run(
    pieces: list[Piece], values: list[Array], scale: float, leading: tuple[int, ...] = (), divide: bool = False
) -> Sofar:
    """Return what all pieces leave."""
    kernel = kernels_of(build_continued, pieces[0].query.dtype)
    # Those over rows come last: what they leave lies in the order of the grid.
    order = sorted(range(len(pieces)), key=lambda i: not pieces[i].turned)
    sofar: Sofar | None = None
    for i in order:
        piece = pieces[i]
        last = divide and i == order[-1]
        problem = piece.problem(scale, values[i], leading, sofar=sofar, mask=piece.mask, divide=last)
        size = problem.size
        shape = (*problem.batch, size.m)
        before = None if sofar is None or piece.turned else sofar.sums
        if before is not None and before.shape == (*shape, size.e) and before.flags.c_contiguous:
            sums = before  # a task reads its own rows before it writes them
        else:
            sums = np.empty((*shape, size.e), dtype=problem.dtype)
        statistics = np.empty((2, *shape), dtype=problem.dtype)
        over_queries(problem, kernel, sums, *statistics)
        sofar = Sofar(piece.back(sums, 1), piece.back(np.moveaxis(statistics, 0, -1), 1))
    assert sofar is not None
    return sofar


def attended(pieces: list[Piece], scale: float) -> Array:
    """Return the output of every token, (..., rows, columns, e)."""
    return _run(pieces, [piece.value for piece in pieces], scale, divide=True).sums


def weighted(pieces: list[Piece], scale: float) -> list[Array]:
    """Return the weights of every piece, (..., rows, columns, keys), or in the piece's own order if turned."""
    # A summary may have leading axes that the keys lack, and all pieces share their maximum.
    leading = np.broadcast_shapes(*(score_batch(piece.query, piece.key)[:-1] for piece in pieces))
    none = [np.empty((piece.key.shape[-2], 0), dtype=piece.key.dtype) for piece in pieces]
    statistics = np.moveaxis(_run(pieces, none, scale, leading).statistics, -1, 0)
    kernels = kernels_of(build_softmax, pieces[0].query.dtype)
    result = []
    for piece, value in zip(pieces, none, strict=True):
        problem = piece.problem(scale, value, leading, mask=piece.mask, divide=True)
        shape = (*problem.batch, problem.size.m)
        top, total = (np.ascontiguousarray(np.broadcast_to(piece.back(x, 0), shape)) for x in statistics)
        weights = np.zeros((*shape, problem.size.n), dtype=problem.dtype)
        over_queries(problem, kernels.weights, top, total, weights)
        result.append(weights)
    return result


def shares(query: Array, key: Array, scale: float, summary: str) -> Array:
    """Return p(j | group), (..., groups, members)."""
    asked = (query.mean(axis=-2) if summary == "mean" else query.max(axis=-2))[..., None, :]
    return weighted([Piece(asked, key, key)], scale)[0][..., 0, :]
