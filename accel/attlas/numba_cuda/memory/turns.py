"""Kernels of binary memories: which entries are no bits, and the turning of bits by their fields.

All bits together: a field is computed for every bit, then `turn` sets each to its sign. One after the other: a block of
threads has one state and goes through its bits; its threads share the sum that a bit's field is, and every thread keeps
to its own share of the state, so that a bit costs the barriers of one sum. Bound by bytes: T is read once per state and
sweep, from the second-level cache.

Results differ from the reference by rounding only.
"""

import functools
from collections.abc import Callable
from typing import Any

from ..pieces import COLUMN_STEP, FIRST_MEMBER, ROW_STEP
from ..rows import RowBlock, build_combine, plus
from ..rules import Real
from ..target import cuda, device, kernel

MATRIX = 0
"""The row of the table of operands that a kernel with one matrix has."""


@functools.cache
def build_turned(real: Real) -> Callable[..., Any]:
    """Build the bit that a field makes of an old one: the sign, or the old one where the field is 0."""
    zero, one, minus = real(0), real(1), real(-1)

    @device
    def turned(field, old):
        return one if field > zero else (minus if field < zero else (old if field == zero else field))

    return turned


@functools.cache
def build_turn(real: Real) -> Any:
    """Build the kernel that takes factor times the bit off each field, and turns the bit if asked to."""
    turned = build_turned(real)

    def turn(first, block_count, size, factor, turns, states, field):
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        place = index * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if place < size:
            pull = field[place] - factor * states[place]
            field[place] = pull
            if turns:
                states[place] = turned(pull, states[place])

    return kernel(turn)


@functools.cache
def build_strays(real: Real) -> Any:
    """Build the kernel that counts entries other than -1 and 1, a count for each thread."""
    one = real(1)

    def strays(first, block_count, rows, columns, query, layout, counts):
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        thread = cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        found = 0
        start = layout[MATRIX, FIRST_MEMBER + index // rows] + index % rows * layout[MATRIX, ROW_STEP]
        for c in range(thread, columns, threads):
            if abs(query[start + c * layout[MATRIX, COLUMN_STEP]]) != one:
                found += 1
        counts[index * threads + thread] = found

    return kernel(strays)


@functools.cache
def build_one_by_one(block: RowBlock, real: Real) -> Any:
    """Build the kernel that turns bit after bit by the fields states @ T; T is symmetric."""
    combine, turned = build_combine(block, plus, plus, plus), build_turned(real)
    across, threads = block.across, block.count
    board_shape = (3, block.down, block.across + 1)
    zero = real(0)

    def one_by_one(first, block_count, m, d, steps, order, matrix, layout, states, field):
        board = cuda.shared.array(board_shape, real)
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        start = layout[MATRIX, FIRST_MEMBER + index // m]
        for turn in range(steps * d):
            c = order[turn % d]
            line = start + c * layout[MATRIX, ROW_STEP]
            pull = zero
            for other in range(t, d, threads):
                pull += states[index * d + other] * matrix[line + other * layout[MATRIX, COLUMN_STEP]]
            pull, _, _ = combine(board, pull, zero, zero)
            if c % threads == t:  # the only thread that reads this bit
                field[index * d + c] = pull
                states[index * d + c] = turned(pull, states[index * d + c])

    return kernel(one_by_one)
