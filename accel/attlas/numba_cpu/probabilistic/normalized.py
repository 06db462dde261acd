"""Rows of mean 0 and variance 1, as slots compete for them: a part of a composition, no formulation.

With array functions it takes five passes over the inputs in one thread; here rows are tasks, each worked on in the
nearest cache.

Bound by: reading and writing every number once.
Differs from the reference by rounding: a row is multiplied by one over its deviation.
"""

import math
from typing import Any

import numpy as np

from ...composites.probabilistic.slots import FLOOR
from ..attention import kernels_of
from ..compile import kernel
from ..launch import launch, opener
from ..operands import Array, lay
from ..pointers import moved
from ..real import Real
from .transport import build_parts

__all__ = ["normalized_with_ones"]

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
