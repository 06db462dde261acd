"""What the kernels of transport plans share: half-steps of Sinkhorn's iteration, in logarithms.

With potentials F of the rows and G of the columns the plan is exp(F_i + s_ij + G_j), where s = factor times the cost.
A half-step makes new potentials from sums over rows or over columns,

    F_i = log a_i - exponent log Σ_j exp(s_ij + G_j),   G_j = log b_j - exponent log Σ_i exp(s_ij + F_i).

Rows and columns without mass (log a or log b is -inf) and pairs whose score is -inf take no part. A member of the
leading axes whose flag `moving` is 0 is left alone.

Bound by bytes in single precision, m n costs per half-step, and closely followed by the exponentials, one for each
pair; in double precision by these. A row has a block of threads. A column has a thread in each of several blocks, which
own some rows each, so that neighbors read neighboring memory along both axes; how many depends on m and n alone. The
partial sums are merged in order: nothing is atomic, the same call gives the same bits.

Results differ from the reference by rounding only.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

from ..pieces import entry, larger
from ..rows import RowBlock, build_combine, plus
from ..rules import Real
from ..target import cuda, device, device_using_cuda, kernel
from .log_sums import build_absorb, build_log_total, build_rescale

COST, MASK = range(2)
"""The rows of the table of operands."""


@functools.cache
def build_score(real: Real) -> Callable[..., Any]:
    """Build the score of a pair: factor times the cost, -inf where a mask hides."""
    lowest = real(-math.inf)

    @device
    def score(cost, mask, layout, batch, i, j, factor):
        if not entry(mask, layout, MASK, batch, i, j):
            return lowest
        return factor * real(entry(cost, layout, COST, batch, i, j))

    return score


@functools.cache
def build_row_sum(block: RowBlock, real: Real) -> Callable[..., Any]:
    """Build the function that sums exp(s_ij + G_j) over a row, for all its threads; `strict` leaves out G = -inf."""
    score, absorb, rescale = build_score(real), build_absorb(real), build_rescale(real)
    highest, combine = build_combine(block, larger, larger, larger), build_combine(block, plus, plus, plus)
    across, threads = block.across, block.count
    zero, lowest = real(0), real(-math.inf)

    @device_using_cuda
    def row_sum(board, cost, mask, layout, batch, i, n, factor, log_columns, column_potentials, strict):
        most = lowest
        total = zero
        for j in range(cuda.threadIdx.y * across + cuda.threadIdx.x, n, threads):
            number = score(cost, mask, layout, batch, i, j, factor)
            potential = column_potentials[batch * n + j]
            closed = log_columns[batch * n + j] == lowest or (strict and potential == lowest)
            if number != lowest and not closed:
                most, total = absorb(most, total, number + potential)
        best, _, _ = highest(board, most, lowest, lowest)
        total, _, _ = combine(board, total * rescale(most, best), zero, zero)
        return best, total

    return row_sum


@functools.cache
def build_rows(block: RowBlock, real: Real) -> Any:
    """Build the kernel of the rows' potentials; when `counting`, it notes which rows have a pair as 1 and 0."""
    row_sum, log_total = build_row_sum(block, real), build_log_total(real)
    board_shape = (3, block.down, block.across + 1)
    zero, one, lowest = real(0), real(1), real(-math.inf)

    def rows(
        first, block_count, m, n, cost, mask, layout, factor, exponent, counting, log_rows, log_columns, moving,
        column_potentials, output,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        batch = index // m
        if moving[batch] == 0:
            return
        most, total = row_sum(
            board, cost, mask, layout, batch, index % m, n, factor, log_columns, column_potentials, False
        )  # fmt: skip
        if cuda.threadIdx.x == 0 and cuda.threadIdx.y == 0:
            found = log_total(most, total)
            if counting:
                output[index] = zero if found == lowest else one
            elif found == lowest or log_rows[index] == lowest:
                output[index] = lowest
            else:
                output[index] = log_rows[index] - exponent * found

    return kernel(rows)


@functools.cache
def build_columns(block: RowBlock, real: Real) -> Any:
    """Build the kernel of the columns' partials, (members, chunks, n): each chunk has `per_chunk` rows."""
    score, absorb, rescale = build_score(real), build_absorb(real), build_rescale(real)
    across, down = block.across, block.down
    board_shape = (down, across)
    zero, lowest = real(0), real(-math.inf)

    def columns(
        first, block_count, m, n, per_chunk, chunks, cost, mask, layout, factor, log_rows, log_columns, moving,
        row_potentials, maximum, total,
    ):  # fmt: skip
        maxima = cuda.shared.array(board_shape, real)
        totals = cuda.shared.array(board_shape, real)
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        column_blocks = (n + across - 1) // across
        j = index % column_blocks * across + x
        chunk = index // column_blocks % chunks
        batch = index // column_blocks // chunks
        if moving[batch] == 0:
            return
        most = lowest
        whole = zero
        if j < n and log_columns[batch * n + j] != lowest:
            for i in range(chunk * per_chunk + y, min(m, (chunk + 1) * per_chunk), down):
                if log_rows[batch * m + i] != lowest:
                    number = score(cost, mask, layout, batch, i, j, factor)
                    if number != lowest:
                        most, whole = absorb(most, whole, number + row_potentials[batch * m + i])
        maxima[y, x] = most
        totals[y, x] = whole
        cuda.syncthreads()
        if y == 0 and j < n:
            best = most
            for k in range(1, down):
                best = larger(best, maxima[k, x])
            whole = zero
            for k in range(down):
                whole += totals[k, x] * rescale(maxima[k, x], best)
            maximum[(batch * chunks + chunk) * n + j] = best
            total[(batch * chunks + chunk) * n + j] = whole

    return kernel(columns)


@functools.cache
def build_merge(real: Real) -> Any:
    """Build the kernel of the columns' potentials from their partials; when `counting`, of ones and zeros as above.

    When it `compares`, it notes by how much each column's mass is wrong with the potentials that stand there.
    """
    rescale, log_total = build_rescale(real), build_log_total(real)
    zero, one, lowest = real(0), real(1), real(-math.inf)

    def merge(
        first, block_count, size, n, chunks, exponent, counting, compares, log_columns, moving, maximum, total, masses,
        column_potentials, errors, output,
    ):  # fmt: skip
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        place = index * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if place >= size or moving[place // n] == 0:
            return
        start = place // n * chunks * n + place % n
        best = maximum[start]
        for chunk in range(1, chunks):
            best = larger(best, maximum[start + chunk * n])
        whole = zero
        for chunk in range(chunks):
            whole += total[start + chunk * n] * rescale(maximum[start + chunk * n], best)
        found = log_total(best, whole)
        if compares:
            errors[place] = abs(real(math.exp(column_potentials[place] + found)) - masses[place])
        if counting:
            output[place] = zero if found == lowest else one
        elif found == lowest or log_columns[place] == lowest:
            output[place] = lowest
        else:
            output[place] = log_columns[place] - exponent * found

    return kernel(merge)


@functools.cache
def build_settle(block: RowBlock, real: Real) -> Any:
    """Build the kernel that lets each member come to rest, or else move on to the potentials in `source`."""
    highest = build_combine(block, larger, larger, larger)
    across, threads = block.across, block.count
    board_shape = (3, block.down, block.across + 1)
    zero = real(0)

    def settle(first, block_count, n, tolerance, moving, errors, source, output):
        board = cuda.shared.array(board_shape, real)
        batch = first + cuda.blockIdx.x
        if batch >= block_count or moving[batch] == 0:
            return
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        worst = zero
        for j in range(t, n, threads):
            worst = larger(worst, errors[batch * n + j])
        worst, _, _ = highest(board, worst, zero, zero)
        if worst <= tolerance:  # a NaN never comes to rest
            if t == 0:
                moving[batch] = 0
        else:
            for j in range(t, n, threads):
                output[batch * n + j] = source[batch * n + j]

    return kernel(settle)


@functools.cache
def build_finish(block: RowBlock, real: Real) -> Any:
    """Build the kernel of the plan whose rows are right: each is the softmax of s_ij + G_j, times its mass.

    The plan may stand where the cost does.
    """
    score, row_sum = build_score(real), build_row_sum(block, real)
    across, threads = block.across, block.count
    board_shape = (3, block.down, block.across + 1)
    zero, one, lowest, infinity = real(0), real(1), real(-math.inf), real(math.inf)

    def finish(
        first, block_count, m, n, cost, mask, layout, factor, log_rows, log_columns, masses, column_potentials, output
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        batch = index // m
        i = index % m
        most, total = row_sum(board, cost, mask, layout, batch, i, n, factor, log_columns, column_potentials, True)
        shift = zero if most == lowest else most
        if most == infinity:
            total = most - most  # NaN, as that of any softmax with an infinite score
        divisor = total if total != zero else one
        empty = log_rows[index] == lowest
        for j in range(cuda.threadIdx.y * across + cuda.threadIdx.x, n, threads):
            number = score(cost, mask, layout, batch, i, j, factor)
            potential = column_potentials[batch * n + j]
            closed = empty or log_columns[batch * n + j] == lowest or potential == lowest
            part = zero
            if number != lowest and not closed:
                part = masses[index] * (real(math.exp((number + potential) - shift)) / divisor)
            output[index * n + j] = part

    return kernel(finish)
