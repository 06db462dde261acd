"""Rows divided by their root mean square, on their way into scores or out of the values.

Bound by bytes: each row is read twice and written once, by one block of threads. Differs from the reference by
rounding only.
"""

import functools
import math
from typing import Any

import numpy as np

from .operands import dtype_of, operand, shape_of
from .pieces import entry
from .rows import RowBlock, build_combine, default_row_block, plus
from .rules import Real
from .target import allocate, cuda, kernel, launch, shaped, upload

ROWS, FACTORS = range(2)
"""The rows of the table of integers."""


@functools.cache
def build_unit_rms(block: RowBlock, real: Real) -> Any:
    """Build the kernel: rows with a mean square of 1, times one factor for each channel and one for all."""
    combine = build_combine(block, plus, plus, plus)
    across, threads = block.across, block.count
    board_shape = (3, block.down, block.across + 1)
    zero, one = real(0), real(1)

    def unit(first, block_count, row_count, width, query, grad, layout, epsilon, factor, output):
        board = cuda.shared.array(board_shape, real)
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        batch = index // row_count
        i = index % row_count
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        square = zero
        for c in range(t, width, threads):
            number = entry(query, layout, ROWS, batch, i, c)
            square += number * number
        square, _, _ = combine(board, square, zero, zero)
        square = square / real(max(width, 1)) + epsilon
        root = one if square == zero else real(math.sqrt(square))
        for c in range(t, width, threads):
            number = entry(query, layout, ROWS, batch, i, c) / root
            output[index * width + c] = number * entry(grad, layout, FACTORS, batch, i, c) * factor

    return kernel(unit)


def unit_rms(x: Any, epsilon: float, factors: Any = None, factor: float = 1.0) -> Any:
    """Return rows with a mean square of 1, times `factors` per channel and `factor`; rows of zeros stay zero."""
    shape, dtype, block = shape_of(x), dtype_of(x), default_row_block()
    batch = shape[:-2]
    real: Any = dtype.type
    memories, layouts = zip(
        *(operand(a, batch) for a in (x, np.ones((1, 1), dtype) if factors is None else factors)), strict=True
    )
    table = upload(np.array([[layout.row, layout.column, *layout.offsets] for layout in layouts], dtype=np.int64))
    result = allocate(shape, dtype)
    launch(
        build_unit_rms(block, real), math.prod(shape[:-1]), block.threads,
        shape[-2], shape[-1], *memories, table, real(epsilon), real(factor), result,
    )  # fmt: skip
    return shaped(result, shape)
