"""Kernels of dense associative memories, whose field is no product.

Each pair of state and pattern adds F(o + x (1 - s)) - F(o - x (1 + s)) to every bit, with the overlap o of the pair. A
tile makes the overlaps of a few states and patterns as attention does and walks over them bit by bit. Bound by
operations: per pair and bit one multiply-add for the overlap and two evaluations of F. Where bits turn one after the
other, a block of threads has one state, each thread some patterns.

Results differ from the reference by rounding only; overlaps that are kept while bits turn are summed with compensation.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

from ..blocks import Block
from ..pieces import COLUMN_STEP, FIRST_MEMBER, KEY, QUERY, ROW_STEP, build_load, build_products, larger
from ..rows import RowBlock, build_combine, compensated, plus
from ..rules import Real, dot
from ..target import cuda, device, device_using_cuda, kernel
from .turns import MATRIX, build_turned


@functools.cache
def build_power(real: Real) -> Callable[..., Any]:
    """Build F of the polynomial energy: a power with a whole exponent, of what is above 0 if rectified."""
    zero, one = real(0), real(1)

    @device
    def power(overlap, degree, rectified):
        base = zero if rectified and overlap < zero else overlap  # a NaN stays
        result = one
        left = degree
        while left > 0:
            if left % 2 == 1:
                result *= base
            base *= base
            left //= 2
        return result

    return power


@functools.cache
def build_logadd(real: Real) -> Callable[..., Any]:
    """Build the step of a running sum of exponentials: (maximum, sum) with one more number."""
    zero, lowest = real(0), real(-math.inf)

    @device
    def logadd(most, total, number):
        best = larger(most, number)
        shift = zero if best == lowest else best
        then = zero if most == lowest else real(math.exp(most - best))
        return best, then * total + real(math.exp(number - shift))

    return logadd


@functools.cache
def build_pull(block: Block, real: Real, exponential: bool) -> Any:
    """Build the kernel of the fields of all bits."""
    products, load = build_products(block, real, dot), build_load(block, real)
    power, logadd = build_power(real), build_logadd(real)
    across, down, rows, columns, outputs = block.across, block.down, block.rows, block.columns, block.outputs
    own, other, width = block.own, block.other, block.width
    left_shape, right_shape, pair_shape = (own, block.depth + 1), (other, block.depth + 1), (own, other + 1)
    carried_shape, pairs, results = (other, width), (rows, columns), (rows, outputs)
    zero, one, lowest = real(0), real(1), real(-math.inf)

    @device_using_cuda
    def add_powers(pull, bits, overlaps, carried, count, degree, rectified, x, y):
        for k in range(count):
            for r in range(rows):
                overlap = overlaps[y + r * down, k]
                for o in range(outputs):
                    pattern = carried[k, x + o * across]
                    up = power(overlap + pattern * (one - bits[r, o]), degree, rectified)
                    pull[r, o] += up - power(overlap - pattern * (one + bits[r, o]), degree, rectified)

    @device_using_cuda
    def add_exponentials(up, ups, below, downs, bits, overlaps, carried, count, x, y):
        for k in range(count):
            for r in range(rows):
                overlap = overlaps[y + r * down, k]
                for o in range(outputs):
                    pattern = carried[k, x + o * across]
                    up[r, o], ups[r, o] = logadd(up[r, o], ups[r, o], overlap + pattern * (one - bits[r, o]))
                    low = overlap - pattern * (one + bits[r, o])
                    below[r, o], downs[r, o] = logadd(below[r, o], downs[r, o], low)

    def pull(first, block_count, m, n, d, query, key, layout, degree, rectified, states, field):
        left = cuda.shared.array(left_shape, real)
        right = cuda.shared.array(right_shape, real)
        overlaps = cuda.shared.array(pair_shape, real)
        carried = cuda.shared.array(carried_shape, real)
        sums = cuda.local.array(pairs, real)
        bits = cuda.local.array(results, real)
        up = cuda.local.array(results, real)
        ups = cuda.local.array(results, real)
        downs = cuda.local.array(results, real)
        below = cuda.local.array(results, real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        channel_blocks = (d + width - 1) // width
        state_blocks = (m + own - 1) // own
        c0 = index % channel_blocks * width
        i0 = index // channel_blocks % state_blocks * own
        batch = index // channel_blocks // state_blocks
        for r in range(rows):
            i = i0 + y + r * down
            for o in range(outputs):
                c = c0 + x + o * across
                bits[r, o] = states[(batch * m + i) * d + c] if i < m and c < d else zero
                up[r, o] = lowest if exponential else zero
                ups[r, o] = zero
                below[r, o] = lowest
                downs[r, o] = zero

        for j0 in range(0, n, other):
            products(sums, left, right, query, QUERY, i0, m, key, KEY, j0, n, d, layout, batch)
            for r in range(rows):
                for c in range(columns):
                    overlaps[y + r * down, x + c * across] = sums[r, c]
            load(carried, key, layout, KEY, batch, j0, n, c0, d, other, width, y * across + x)
            cuda.syncthreads()  # until overlaps and patterns are complete
            count = min(other, n - j0)
            if exponential:
                add_exponentials(up, ups, below, downs, bits, overlaps, carried, count, x, y)
            else:
                add_powers(up, bits, overlaps, carried, count, degree, rectified, x, y)
            cuda.syncthreads()  # until no thread reads them any more

        for r in range(rows):
            i = i0 + y + r * down
            for o in range(outputs):
                c = c0 + x + o * across
                if i < m and c < d:
                    result = up[r, o]
                    if exponential:
                        result = (up[r, o] + real(math.log(ups[r, o]))) - (below[r, o] + real(math.log(downs[r, o])))
                    field[(batch * m + i) * d + c] = result

    return kernel(pull)


@functools.cache
def build_dense_one_by_one(block: RowBlock, real: Real, exponential: bool) -> Any:
    """Build the kernel that turns bit after bit of a dense memory; a thread keeps the overlaps of its patterns."""
    combine, highest = build_combine(block, plus, plus, plus), build_combine(block, larger, larger, larger)
    turned, power = build_turned(real), build_power(real)
    across, threads = block.across, block.count
    board_shape = (3, block.down, block.across + 1)
    zero, one, lowest = real(0), real(1), real(-math.inf)

    @device_using_cuda
    def powers(board, overlaps, scratch, key, start, row_step, n, bit, degree, rectified, t):
        pull = zero
        for mu in range(t, n, threads):
            overlap = overlaps[scratch + mu]
            pattern = key[start + mu * row_step]
            up = power(overlap + pattern * (one - bit), degree, rectified)
            pull += up - power(overlap - pattern * (one + bit), degree, rectified)
        pull, _, _ = combine(board, pull, zero, zero)
        return pull

    @device_using_cuda
    def exponentials(board, overlaps, scratch, key, start, row_step, n, bit, degree, rectified, t):
        up = lowest
        below = lowest
        for mu in range(t, n, threads):
            pattern = key[start + mu * row_step]
            up = larger(up, overlaps[scratch + mu] + pattern * (one - bit))
            below = larger(below, overlaps[scratch + mu] - pattern * (one + bit))
        up, below, _ = highest(board, up, below, lowest)
        ups = zero
        downs = zero
        for mu in range(t, n, threads):
            pattern = key[start + mu * row_step]
            ups += real(math.exp(overlaps[scratch + mu] + pattern * (one - bit) - up))
            downs += real(math.exp(overlaps[scratch + mu] - pattern * (one + bit) - below))
        ups, downs, _ = combine(board, ups, downs, zero)
        return (up + real(math.log(ups))) - (below + real(math.log(downs)))

    pull_of = exponentials if exponential else powers

    def dense_one_by_one(
        first, block_count, first_row, m, n, d, steps, order, key, layout, degree, rectified, overlaps, lost,
        states, field,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        row = first_row + index
        row_step = layout[MATRIX, ROW_STEP]
        column_step = layout[MATRIX, COLUMN_STEP]
        origin = layout[MATRIX, FIRST_MEMBER + row // m]
        scratch = index * n
        for turn in range(steps * d):
            if turn % d == 0:
                cuda.syncthreads()  # until the last bit of the sweep before is written
                for mu in range(t, n, threads):
                    total = zero
                    error = zero
                    for c in range(d):
                        number = key[origin + mu * row_step + c * column_step] * states[row * d + c]
                        total, error = compensated(total, error, number)
                    overlaps[scratch + mu] = total
                    lost[scratch + mu] = error
            c = order[turn % d]
            start = origin + c * column_step
            old = states[row * d + c]
            pull = pull_of(board, overlaps, scratch, key, start, row_step, n, old, degree, rectified, t)
            new = turned(pull, old)
            change = new - old
            if change != zero:
                for mu in range(t, n, threads):
                    number = key[start + mu * row_step] * change
                    overlaps[scratch + mu], lost[scratch + mu] = compensated(
                        overlaps[scratch + mu], lost[scratch + mu], number
                    )
            if t == 0:  # all have read the old bit before they summed up
                states[row * d + c] = new
                field[row * d + c] = pull

    return kernel(dense_one_by_one)
