"""What a stop of a pointer reads behind it, on Numba-CUDA: a chunk of keys, or all; and sums over windows.

A block of threads has a row. For chunks of w keys, each thread takes keys in turns: first the largest energy and the
sum of the chunk that ends at each, then what each receives from the w chunks that hold it. For all keys, each thread
has a stretch of neighboring keys: sums relative to the largest energy so far are scanned forward, and the mass that is
handed on is scanned backward (`scans`). Chunks as long as the row are all keys.

Bound by operations: 2 w exponentials for each pair, most of whose operands come from the first-level cache; or five
exponentials and two scans of a row. Memory beside the result is two numbers or one for each pair of the rows of one
launch, which are limited. A window is summed by one thread, entry by entry: w additions.
Results differ from the reference by rounding.
"""

import functools
import math
from typing import Any

import numpy as np

from ..kronecker.chunks import launch_entries
from ..operands import dtype_of, lay_out, leading_axes, shape_of
from ..pieces import COLUMN_STEP, FIRST_MEMBER, larger
from ..probabilistic.teams import in_turns, most_at_once
from ..rows import RowBlock, default_row_block
from ..rules import Real
from ..target import allocate, cuda, kernel, launch, shaped
from ..views import as_row
from .scans import build_arriving, build_shown, seen, stretch

MASS, ENERGY = 1, 2
"""The rows of the table of operands, after that of the mask."""


@functools.cache
def build_chunked(block: RowBlock, real: Real) -> Any:
    """Build the kernel of chunks; `field` has two lines for each row of a launch, beginning with row `first_row`."""
    shown = build_shown(real)
    count, across = block.count, block.across
    zero, one, lowest = real(0), real(1), real(-math.inf)

    def chunked(
        first, block_count, first_row, m, n, width, mask, source, scores, layout, field, output
    ):  # fmt: skip
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        local = first + cuda.blockIdx.x
        if local >= block_count:
            return
        batch = (first_row + local) // m
        i = (first_row + local) % m
        tops = 2 * local * n
        shares = tops + n
        for k in range(t, n, count):
            top = lowest
            for j in range(max(0, k - width + 1), k + 1):
                top = larger(top, shown(scores, mask, layout, ENERGY, batch, i, j, lowest))
            top = zero if top == lowest else top
            total = zero
            for j in range(max(0, k - width + 1), k + 1):
                total += real(math.exp(shown(scores, mask, layout, ENERGY, batch, i, j, lowest) - top))
            field[tops + k] = top
            field[shares + k] = shown(source, mask, layout, MASS, batch, i, k, zero) / (one if total == zero else total)
        cuda.syncthreads()  # until all chunks are known
        for j in range(t, n, count):
            weight = zero
            if seen(mask, layout, batch, i, j):
                score = shown(scores, mask, layout, ENERGY, batch, i, j, lowest)
                for k in range(j, min(n, j + width)):
                    weight += field[shares + k] * real(math.exp(score - field[tops + k]))
            output[(first_row + local) * n + j] = weight

    return kernel(chunked)


@functools.cache
def build_lookback(block: RowBlock, real: Real) -> Any:
    """Build the kernel of all keys; `field` has a line for each row of a launch, beginning with row `first_row`."""
    arriving, shown = build_arriving(block, real), build_shown(real)
    count, across, board_shape = block.count, block.across, (2, block.count)
    zero, one, lowest = real(0), real(1), real(-math.inf)

    def lookback(
        first, block_count, first_row, m, n, mask, source, scores, layout, field, output
    ):  # fmt: skip
        factors = cuda.shared.array(board_shape, real)
        offsets = cuda.shared.array(board_shape, real)
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        local = first + cuda.blockIdx.x
        if local >= block_count:
            return
        batch = (first_row + local) // m
        i = (first_row + local) % m
        row = (first_row + local) * n
        line = local * n
        begin, end = stretch(n, count, t)

        # The largest energy before the stretch, from the largest of each.
        top = lowest
        for j in range(begin, end):
            top = larger(top, shown(scores, mask, layout, ENERGY, batch, i, j, lowest))
        factors[0, t] = top
        cuda.syncthreads()
        most = lowest
        for k in range(t):
            most = larger(most, factors[0, k])
        cuda.syncthreads()  # until all have read

        # Sums relative to it: each step shrinks what was summed, and adds its own.
        factor = one
        offset = zero
        top = most
        for j in range(begin, end):
            score = shown(scores, mask, layout, ENERGY, batch, i, j, lowest)
            best = larger(top, score)
            shift = zero if best == lowest else best
            shrunk = real(math.exp(top - shift))
            offset = shrunk * offset + real(math.exp(score - shift))
            factor *= shrunk
            top = best
        total = arriving(factors, offsets, factor, offset, t)

        factor = one
        offset = zero
        top = most
        for j in range(begin, end):
            score = shown(scores, mask, layout, ENERGY, batch, i, j, lowest)
            best = larger(top, score)
            shift = zero if best == lowest else best
            earlier = total * real(math.exp(top - shift))
            own = real(math.exp(score - shift))
            total = earlier + own
            divisor = one if total == zero else total
            output[row + j] = own / divisor
            field[line + j] = earlier / divisor
            top = best

        # Back: c is what goes on from a key to the one before.
        for j in range(end - 1, begin - 1, -1):
            offset = field[line + j] * (shown(source, mask, layout, MASS, batch, i, j, zero) + offset)
            factor *= field[line + j]
        carried = arriving(factors, offsets, factor, offset, count - 1 - t)
        for j in range(end - 1, begin - 1, -1):
            mass = shown(source, mask, layout, MASS, batch, i, j, zero) + carried
            output[row + j] = output[row + j] * mass if seen(mask, layout, batch, i, j) else zero
            carried = field[line + j] * mass

    return kernel(lookback)


def mocha_weights(alignment: Any, energy: Any, *, chunk_size: int, mask: Any) -> Any:
    """Compute `attlas_ref.mocha_weights`."""
    if chunk_size >= shape_of(alignment)[-1]:
        return infinite_lookback_weights(alignment, energy, mask=mask)
    return _by_rows(build_chunked, 2, alignment, energy, mask, chunk_size)


def infinite_lookback_weights(alignment: Any, energy: Any, *, mask: Any) -> Any:
    """Compute `attlas_ref.infinite_lookback_weights`."""
    return _by_rows(build_lookback, 1, alignment, energy, mask)


def _by_rows(build: Any, lines: int, alignment: Any, energy: Any, mask: Any, *sizes: int) -> Any:
    """Run a kernel on all rows, as many at a time as have memory for so many lines each."""
    given = [np.ones((1, 1), bool) if mask is None else mask, alignment, energy]
    batch, (m, n), dtype = leading_axes(*given), shape_of(alignment)[-2:], dtype_of(alignment)
    memories, layout = lay_out(given, batch)
    block, real = default_row_block(), dtype.type
    rows, shape = math.prod(batch) * m, (*batch, m, n)
    output, field = allocate(shape, dtype), allocate((most_at_once(rows, lines * n), lines * n), dtype)
    for first, count in in_turns(rows, lines * n):
        launch(
            build(block, real), count, block.threads,
            first, m, n, *sizes, *memories, layout, field, output,
        )  # fmt: skip
    return shaped(output, shape)


@functools.cache
def build_moving(real: Real) -> Any:
    """Build the kernel that sums windows: a thread makes one entry."""
    zero = real(0)

    def moving(first, block_count, n, before, after, source, layout, output):
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        parts = (n + threads - 1) // threads
        j = index % parts * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if j >= n:
            return
        batch = index // parts
        start, step = layout[0, FIRST_MEMBER + batch], layout[0, COLUMN_STEP]
        total = zero
        for k in range(max(0, j - before), min(n, j + after + 1)):
            total += source[start + k * step]
        output[batch * n + j] = total

    return kernel(moving)


def moving_sum(x: Any, *, back: int, forward: int) -> Any:
    """Compute `attlas_ref.moving_sum`."""
    shape, dtype = shape_of(x), dtype_of(x)
    n = shape[-1]
    (memory,), layout = lay_out([as_row(x)], shape[:-1])
    output = allocate(shape, dtype)
    before, after = (min(width, n) - 1 for width in (back, forward))
    launch_entries(build_moving, dtype, math.prod(shape[:-1]), n, n, before, after, memory, layout, output)
    return shaped(output, shape)
