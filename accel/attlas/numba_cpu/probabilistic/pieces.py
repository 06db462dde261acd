"""Softmax attention to several sets of keys at once.

A query of Combiner meets some keys one by one and others in groups, and the two are laid out differently: the tokens
of a row together, or those of a column. Every set is one call of the tile template, whose (maximum, total, sums) are
then merged. Queries are kept as a grid (..., rows, columns, width).

Bound by: the multiply-adds of the sets; merging reads and writes their sums once. Differs from the reference by
rounding.
"""

from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from ..attention import attend, kernels_of, run_forward, score_batch
from ..dense import build_softmax
from ..operands import Array, Problem, lay_out, over_queries

Statistics = tuple[Array, Array]


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

    def problem(self, scale: float, value: Array, leading: tuple[int, ...] = ()) -> Problem:
        """Lay the set out, with values or what stands for them, and such leading axes at least."""
        return lay_out(
            self.query,
            self.key,
            value,
            mask=self.mask,
            bias=None,
            diagonal=self.diagonal,
            batch=np.broadcast_shapes(score_batch(self.query, self.key, value), (*leading, 1)),
            parameters=(scale, 1.0),
        )

    def back(self, array: Array, inner: int) -> Array:
        """Turn a result with so many axes behind the tokens' into the order of the grid, or back."""
        return array.swapaxes(-2 - inner, -1 - inner) if self.turned else array


def piece_of(*arrays: Any, columns: bool = False, **options: Any) -> Piece:
    """Make a piece of grids (query, key, value), turned if it runs over columns."""
    query, key, value = (x.swapaxes(-3, -2) if columns else x for x in arrays)
    return Piece(query, key, value, turned=columns, **options)


def _run(pieces: list[Piece], problems: list[Problem]) -> tuple[list[tuple[Array, Array, Array]], Array, Array]:
    """Return the sums, factors and totals of every piece, and the maximum and total of all, (..., rows, columns)."""
    kernels = kernels_of(build_softmax, pieces[0].query.dtype)._replace(few=None)
    partials = []
    for piece, problem in zip(pieces, problems, strict=True):
        sums, maximum, total = run_forward(problem, kernels)
        partials.append((piece.back(sums, 1), piece.back(maximum, 0), piece.back(total, 0)))
    maximum = reduce(np.maximum, (partial[1] for partial in partials))
    shift = np.where(maximum == -np.inf, 0, maximum)
    merged = []
    whole = np.zeros((), dtype=maximum.dtype)
    for sums, own, total in partials:
        factor = np.exp(own - shift)
        whole = whole + factor * total
        merged.append((sums, factor, total))
    return merged, maximum, whole


def attended(pieces: list[Piece], scale: float) -> Array:
    """Return the output of every token, (..., rows, columns, e)."""
    merged, _, whole = _run(pieces, [piece.problem(scale, piece.value) for piece in pieces])
    divisor = np.where(whole == 0, 1, whole)
    output: Any = None
    for sums, factor, _ in merged:
        part = sums * (factor / divisor)[..., None]
        output = part if output is None else output + part
    result: Array = output
    return result


def weighted(pieces: list[Piece], scale: float) -> list[Array]:
    """Return the weights of every piece, (..., rows, columns, keys), or in the piece's own order if turned."""
    # A summary may have leading axes that the keys lack, and all pieces share their maximum.
    leading = np.broadcast_shapes(*(score_batch(piece.query, piece.key)[:-1] for piece in pieces))
    none = [np.empty((piece.key.shape[-2], 0), dtype=piece.key.dtype) for piece in pieces]
    problems = [piece.problem(scale, value, leading) for piece, value in zip(pieces, none, strict=True)]
    _, maximum, whole = _run(pieces, problems)
    kernels = kernels_of(build_softmax, pieces[0].query.dtype)
    result = []
    for piece, problem in zip(pieces, problems, strict=True):
        problem = _divided(problem)
        shape = (*problem.batch, problem.size.m)
        top, total = (np.ascontiguousarray(np.broadcast_to(piece.back(x, 0), shape)) for x in (maximum, whole))
        weights = np.zeros((*shape, problem.size.n), dtype=problem.dtype)
        over_queries(problem, kernels.weights, top, total, weights)
        result.append(weights)
    return result


def _divided(problem: Problem) -> Problem:
    return Problem(
        problem.matrices, problem.parameters, problem.size._replace(divide=1), problem.batch, problem.late_bias
    )


def summarized(query: Array, key: Array, value: Array, scale: float, summary: str) -> tuple[Array, Array]:
    """Return the key (..., groups, d) and the value (..., groups, e) of every group (..., groups, members, width)."""
    represent = np.max if summary == "max" else np.mean
    asked = represent(query, axis=-2, keepdims=True)
    read = attend(
        build_softmax, asked, key, value, scale, 1.0, mask=None, bias=None, causal=False, return_weights=False
    )
    return represent(key, axis=-2), read[..., 0, :]


def shares(query: Array, key: Array, scale: float, summary: str) -> Array:
    """Return p(j | group), (..., groups, members)."""
    represent = np.max if summary == "max" else np.mean
    asked = represent(query, axis=-2, keepdims=True)
    piece = Piece(asked, key, key)
    return weighted([piece], scale)[0][..., 0, :]
