"""The steps that every tile shares, as device functions: load, multiply, see, accumulate.

None of them waits for other threads, except the products of pairs, which do so around each pair of factors that they
bring into shared memory.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

from .blocks import Block
from .rules import Real
from .target import cuda, device, device_using_cuda

# The rows of the integer table that goes with a launch, and its columns: an operand's two strides, then the place
# where each of its batch members begins.
QUERY, KEY, VALUE, GRAD, MASK, BIAS, EXTRA = range(7)
ROW_STEP, COLUMN_STEP, FIRST_MEMBER = range(3)


@device
def sees(mask, layout, batch, i, j, diagonal):
    """Whether query i sees key j."""
    if j > i + diagonal:
        return False
    start = layout[MASK, FIRST_MEMBER + batch]
    return mask[start + i * layout[MASK, ROW_STEP] + j * layout[MASK, COLUMN_STEP]]


@device
def entry(memory, layout, operand, batch, i, j):
    """Read entry (i, j) of a batch member."""
    start = layout[operand, FIRST_MEMBER + batch]
    return memory[start + i * layout[operand, ROW_STEP] + j * layout[operand, COLUMN_STEP]]


@device
def larger(a, b):
    """The larger of two numbers, NaN if one of them is."""
    return b if b > a or b != b else a


@functools.cache
def build_load(block: Block, real: Real) -> Callable[..., Any]:
    """Build the function that copies rows into shared memory."""
    threads = block.across * block.down
    zero = real(0)

    @device
    def load(tile, memory, layout, operand, batch, first_row, row_count, first_column, column_count, height, width, t):
        """Thread t's share of a tile, zeros beyond the edges; return 1 if it met a NaN or infinity."""
        start = layout[operand, FIRST_MEMBER + batch]
        row_step = layout[operand, ROW_STEP]
        column_step = layout[operand, COLUMN_STEP]
        strange = 0
        for place in range(t, height * width, threads):
            r = place // width
            c = place % width
            number = zero
            if first_row + r < row_count and first_column + c < column_count:
                number = memory[start + (first_row + r) * row_step + (first_column + c) * column_step]
                if not math.isfinite(number):
                    strange = 1
            tile[r, c] = number
        return strange

    return load


@functools.cache
def build_multiply(block: Block, real: Real, product: Callable[..., Any]) -> Callable[..., Any]:
    """Build the function that adds to a thread's pairs what the channels in shared memory give."""
    across, down, rows, columns, depth = block.across, block.down, block.rows, block.columns, block.depth
    pairs = (rows, columns)
    zero = real(0)

    @device_using_cuda
    def multiply(sums, left, right, x, y):
        # Summed apart from what other channels gave: shorter sums round less.
        fresh = cuda.local.array(pairs, real)
        for r in range(rows):
            for c in range(columns):
                fresh[r, c] = zero
        for k in range(depth):
            for r in range(rows):
                for c in range(columns):
                    fresh[r, c] = product(fresh[r, c], left[y + r * down, k], right[x + c * across, k])
        for r in range(rows):
            for c in range(columns):
                sums[r, c] += fresh[r, c]

    return multiply


@functools.cache
def build_products(block: Block, real: Real, product: Callable[..., Any]) -> Callable[..., Any]:
    """Build the function that makes the product of every own row with every other row."""
    load, multiply = build_load(block, real), build_multiply(block, real, product)
    across, rows, columns, depth = block.across, block.rows, block.columns, block.depth
    own, other = block.own, block.other
    zero = real(0)

    @device_using_cuda
    def products(
        sums, left, right, mine, mine_id, mine_first, mine_count, its, its_id, its_first, its_count, width, layout, b
    ):  # fmt: skip
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        t = y * across + x
        for r in range(rows):
            for c in range(columns):
                sums[r, c] = zero
        for k in range(0, width, depth):
            cuda.syncthreads()  # until no thread reads the tiles of before
            load(left, mine, layout, mine_id, b, mine_first, mine_count, k, width, own, depth, t)
            load(right, its, layout, its_id, b, its_first, its_count, k, width, other, depth, t)
            cuda.syncthreads()  # until the tiles are complete
            multiply(sums, left, right, x, y)

    return products


@functools.cache
def build_accumulate(block: Block, real: Real) -> Callable[..., Any]:
    """Build the function that adds coefficients times other rows to the results."""
    across, down, rows, outputs, other = block.across, block.down, block.rows, block.outputs, block.other
    results = (rows, outputs)
    zero = real(0)

    @device_using_cuda
    def accumulate(sums, coefficients, carried, x, y):
        fresh = cuda.local.array(results, real)
        for r in range(rows):
            for o in range(outputs):
                fresh[r, o] = zero
        for k in range(other):
            for r in range(rows):
                coefficient = coefficients[y + r * down, k]
                for o in range(outputs):
                    fresh[r, o] += coefficient * carried[k, x + o * across]
        for r in range(rows):
            for o in range(outputs):
                sums[r, o] += fresh[r, o]

    return accumulate


@functools.cache
def build_accumulate_visible(block: Block, real: Real, by_query: bool = True) -> Callable[..., Any]:
    """Build the same for other rows that hold a NaN or infinity: hidden pairs are left out, not multiplied by 0.

    `by_query` says whether the own rows are queries or keys.
    """
    across, down, rows, outputs, other = block.across, block.down, block.rows, block.outputs, block.other

    results = (rows, outputs)
    zero = real(0)

    @device_using_cuda
    def accumulate_visible(
        sums, coefficients, carried, x, y, mask, layout, batch, diagonal, mine_first, mine_count, its_first, its_count
    ):  # fmt: skip
        # Summed apart, as above: a NaN that is hidden must not change a bit.
        fresh = cuda.local.array(results, real)
        for r in range(rows):
            for o in range(outputs):
                fresh[r, o] = zero
        for k in range(min(other, its_count - its_first)):
            for r in range(rows):
                mine = mine_first + y + r * down
                if mine < mine_count:
                    if by_query:
                        visible = sees(mask, layout, batch, mine, its_first + k, diagonal)
                    else:
                        visible = sees(mask, layout, batch, its_first + k, mine, diagonal)
                    if visible:
                        for o in range(outputs):
                            fresh[r, o] += coefficients[y + r * down, k] * carried[k, x + o * across]
        for r in range(rows):
            for o in range(outputs):
                sums[r, o] += fresh[r, o]

    return accumulate_visible
