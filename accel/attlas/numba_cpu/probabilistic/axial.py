"""Combiner-Axial: the own row of a grid key by key, the earlier rows as the token above has read them.

The axes of the grid are views. Bound by: multiply-adds, n (block + n / block)(d + e), in a kernel that reads the rows
and in calls of the tile template (see `pieces`); then memory. No array is larger than n (d + e) numbers but the
weights, if asked for. Differs from the reference by rounding.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult

from ..attention import dot_scale, kernels_of, score_batch
from ..blocks import fill, set_rows
from ..compile import kernel
from ..dense import dot_score
from ..operands import Array, lay_out, over_queries
from ..real import Real
from ..tile import build_parts, softmax
from .pieces import Piece, attended, flat, grid, weighted

__all__ = ["combiner_axial_attention"]


def build_readings(real: Real) -> Any:
    """Read every row of a grid: values, and keys by the same weights.

    Results: both in the order of columns, (batch..., columns, rows, width), the keys or nowhere; the number of rows.
    """
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    begin, scores, add_rows = build_parts(real, dot_score)
    step, open_operands, open_scratch, reals = softmax(real).step, real.open_operands, real.open_scratch, real.pointer

    def readings(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        size, lines = operands.size, results[2]
        d = size.d if results[1] else 0
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            fill(scratch.sums, size.e * lanes, zero)
            fill(scratch.grads, d * lanes, zero)
            fill(scratch.maximum, lanes, -infinity)
            fill(scratch.total, lanes, zero)
            for row in range(0, size.n, size.keys):
                rows = min(size.keys, size.n - row)
                scores(operands, scratch, member, first, used, lanes, row, rows)
                step(operands, scratch, lanes, rows, 0)
                for matrix, sums, width in (
                    (operands.value, scratch.sums, size.e), (operands.key, scratch.grads, d)
                ):  # fmt: skip
                    if width:
                        add_rows(operands, scratch, sums, scratch.scores, matrix, width, member, lanes, row, rows, 0)
            for lane in range(lanes):
                scratch.line[lane] = scratch.total[lane] if scratch.total[lane] != zero else one
            at = (member // lines * size.m + first) * lines + member % lines
            for number, sums, width in ((0, scratch.sums, size.e), (1, scratch.grads, d)):
                for column in range(width):
                    for lane in range(lanes):
                        sums[column * lanes + lane] /= scratch.line[lane]
                set_rows(reals(results[number]), at * width, lines * width, sums, used, lanes, width)

    return kernel(readings, f"readings-{real.dtype}")


def _readings(query: Array, key: Array, value: Array, scale: float, keys: bool) -> tuple[Array, Array]:
    """Return what each token of a grid reads of its row, (..., columns, rows, width): values, and keys or nothing."""
    batch = score_batch(query, key, value)
    problem = lay_out(query, key, value, mask=None, bias=None, diagonal=None, batch=batch, parameters=(scale, 1.0))
    size, (*leading, rows) = problem.size, batch
    read = np.empty((*leading, size.m, rows, size.e), dtype=query.dtype)
    met = np.empty((*leading, size.m, rows, size.d if keys else 0), dtype=query.dtype)
    results = read, met if keys else None
    over_queries(problem, kernels_of(build_readings, query.dtype), *results, per_pair=size.d, numbers=(rows,))
    return read, met


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

    def above_of(value: Array) -> Piece:
        reading, met = _readings(q, k, value, scale, keys=summary_key is None)
        met = met if summary_key is None else grid(summary_key, block).swapaxes(-3, -2)
        return Piece(q.swapaxes(-3, -2), met, reading, turned=True, diagonal=-1)

    own = Piece(q, k, v, diagonal=0)
    output = flat(attended([above_of(v), own], scale))
    if not return_weights:
        return output
    # Values may have leading axes that no weight has.
    none = np.empty((block, 0), dtype=value.dtype)
    direct, shared = weighted([own, above_of(none)], scale)  # (..., rows, block, block), (..., block, rows, rows)
    (inner,) = weighted([Piece(q, k, none)], scale)  # (..., rows, block, block)
    rows = n // block
    earlier = np.tri(rows, k=-1, dtype=bool)[:, None, :, None]  # (rows, 1, rows, 1)
    # Of token (r, c): the share of (t, c) times what that reads of row t.
    shared = np.moveaxis(shared, -3, -2)[..., None]  # (..., rows, block, rows, 1)
    whole = np.where(earlier, shared * inner.swapaxes(-3, -2)[..., None, :, :, :], 0)
    each = np.arange(rows)
    whole[..., each, :, each, :] += np.moveaxis(direct, -3, 0)
    return AttentionResult(output, whole.reshape(*whole.shape[:-4], n, n))
