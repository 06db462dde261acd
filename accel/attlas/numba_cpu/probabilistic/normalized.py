"""Slots that compete for rows of mean 0 and variance 1: a part of a composition, no formulation.

Where the slots are one block of rows, the inputs are normalized where `competitive` has packed them, in every step
anew: that takes less than to read them from afar once more. Else they are normalized once, rows being tasks.

Bound by: reading every number, and in the second case writing it.
Differs from the reference by rounding: a row is multiplied by one over its deviation.
"""

import math
from functools import cache, partial
from typing import Any

import numpy as np

from ...composites.probabilistic.slots import FLOOR, Contest
from ..attention import kernels_of, lay_out_scores
from ..columns import transposed
from ..compile import kernel
from ..launch import launch, opener
from ..operands import Array, lay
from ..pointers import moved
from ..real import Real
from .competitive import competitive_attention, run_together
from .transport import build_parts

__all__ = ["competition", "normalized_with_ones"]

ROWS = 64
"""Of a task."""

PASSES = 6
"""What a number costs, in multiply-adds: to decide when threads pay."""


def build_normalized(real: Real) -> Any:
    """Make the kernel. Operands: rows (batch, n, width); results: (batch, n, width + 1), n, width."""
    one, floor, number = real.number(1), real.number(FLOOR), real.number
    open_matrix, reals, parts = opener(real), real.pointer, build_parts(real)
    total_of, dot = parts.total, parts.dot

    def normalized(start, stop, operands, scratch, results):
        x, n, width = open_matrix(operands, 0), results[1], results[2]
        blocks = (n + ROWS - 1) // ROWS
        for task in range(start, stop):
            member, first = task // blocks, task % blocks * ROWS
            for i in range(first, min(n, first + ROWS)):
                row = moved(reals(results[0]), (member * n + i) * (width + 1))
                at = x.places[member] + i * x.row
                for j in range(width):
                    row[j] = x.memory[at + j * x.column]
                mean = total_of(row, 0, width) / number(width)
                for j in range(width):
                    row[j] -= mean
                factor = one / math.sqrt(dot(row, 0, row, 0, width) / number(width) + floor)
                for j in range(width):
                    row[j] *= factor
                row[width] = one

    return kernel(normalized, f"normalized-{real.dtype}")


def normalized_with_ones(x: Array) -> Array:
    """Return rows (..., n, D) of mean 0 and variance 1, and a 1 behind each."""
    (n, width), batch = x.shape[-2:], x.shape[:-2]
    rows = np.empty((*batch, n, width + 1), dtype=x.dtype)
    if width == 0:
        rows[...] = 1
    elif rows.size:
        members = math.prod(batch)
        tasks, numbers = members * -(-n // ROWS), members * n * width
        launch(
            kernels_of(build_normalized, x.dtype),
            tasks,
            [lay(x, batch)],
            (rows, n, width),
            (),
            x.dtype,
            numbers * PASSES,
        )
    return rows


def competition(inputs: Array, *, mask: Array | None, eps: float, scale: float) -> Contest:
    """Return a contest of queries (..., k, D + 1) for normalized inputs and a 1 behind each."""

    def contest(query: Array, with_weights: bool) -> tuple[Array, Array | None]:
        if not with_weights and inputs.shape[-1]:
            vectors, added = query[..., :-1], query[..., -1] * query.dtype.type(scale)
            problem = lay_out_scores(
                inputs, vectors, mask=transposed(mask), bias=None, extra=inputs, order=-1, diagonal=None,
                parameters=(scale, eps),
            )  # fmt: skip
            if problem.size.n <= problem.size.keys:
                added = np.ascontiguousarray(np.broadcast_to(added, (*problem.batch, added.shape[-1])))
                output, total = run_together(problem, inputs.shape[-1], added)
                return np.concatenate([output, (total != 0).astype(output.dtype)], axis=-1), None
        rows = normalized()
        result = competitive_attention(
            query, rows, rows, eps=eps, scale=scale, mask=mask, bias=None, return_weights=with_weights
        )
        return result if with_weights else (result, None)

    normalized = cache(partial(normalized_with_ones, inputs))
    return contest
