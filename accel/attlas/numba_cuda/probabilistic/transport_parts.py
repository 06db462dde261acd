"""Small kernels of transport plans: masses, their logarithms, plans pair by pair, what a plan costs.

Bound by bytes, each number is read and written once. Results differ from the reference by rounding only.
"""

import functools
import math
from typing import Any

from ..pieces import entry
from ..rows import RowBlock, build_combine, compensated, plus
from ..rules import Real
from ..target import cuda, kernel
from .transport import COST, build_score


@functools.cache
def build_spread(block: RowBlock, real: Real) -> Any:
    """Build the kernel that spreads the sum of other masses (1 if there are none) evenly over what is marked by 1."""
    combine = build_combine(block, plus, plus, plus)
    across, threads = block.across, block.count
    board_shape = (3, block.down, block.across + 1)
    zero, one = real(0), real(1)

    def spread(first, block_count, size, other_size, source, masses, output):
        board = cuda.shared.array(board_shape, real)
        batch = first + cuda.blockIdx.x
        if batch >= block_count:
            return
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        count = 0
        for place in range(t, size, threads):
            if source[batch * size + place] != zero:
                count += 1
        whole = zero
        lost = zero
        for place in range(t, other_size, threads):
            whole, lost = compensated(whole, lost, masses[batch * other_size + place])
        number, whole, _ = combine(board, real(count), whole, zero)
        if other_size == 0:
            whole = one
        for place in range(t, size, threads):
            output[batch * size + place] = whole / number if source[batch * size + place] != zero else zero

    return kernel(spread)


@functools.cache
def build_logarithms(real: Real) -> Any:
    """Build the kernel of logarithms of masses; -inf of 0."""
    zero, lowest = real(0), real(-math.inf)

    def logarithms(first, block_count, size, source, output):
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        place = index * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if place < size:
            output[place] = real(math.log(source[place])) if source[place] > zero else lowest

    return kernel(logarithms)


@functools.cache
def build_scaled_plan(real: Real) -> Any:
    """Build the kernel of the plan exp(s_ij + F_i + G_j)."""
    score = build_score(real)
    zero, lowest, infinity = real(0), real(-math.inf), real(math.inf)
    ceiling = real(math.log(1.7e308))  # of what Python's own exponential takes

    def scaled_plan(
        first, block_count, size, m, n, cost, mask, layout, factor, log_rows, log_columns, row_potentials,
        column_potentials, output,
    ):  # fmt: skip
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        place = index * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if place >= size:
            return
        row = place // n
        batch = row // m
        column = batch * n + place % n
        part = zero
        number = score(cost, mask, layout, batch, row % m, place % n, factor)
        if number != lowest and log_rows[row] != lowest and log_columns[column] != lowest:
            number = (number + row_potentials[row]) + column_potentials[column]
            part = infinity if number > ceiling else real(math.exp(number))
        output[place] = part

    return kernel(scaled_plan)


@functools.cache
def build_next_kernel(real: Real) -> Any:
    """Build the kernel that multiplies exp(-C / beta) with the last plan, all by their logarithms.

    `band` has the kernel before, and gets the next; at the `start` there is no plan yet.
    """
    score, lowest = build_score(real), real(-math.inf)

    def next_kernel(
        first, block_count, size, m, n, start, cost, mask, layout, factor, log_rows, log_columns, row_potentials,
        column_potentials, band,
    ):  # fmt: skip
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        place = index * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if place >= size:
            return
        row = place // n
        batch = row // m
        column = batch * n + place % n
        number = lowest
        if log_rows[row] != lowest and log_columns[column] != lowest:
            number = score(cost, mask, layout, batch, row % m, place % n, factor)
        if not start and number != lowest:
            before = band[place]
            if before == lowest:
                number = lowest
            else:
                number += (before + row_potentials[row]) + column_potentials[column]
        band[place] = number

    return kernel(next_kernel)


@functools.cache
def build_price(block: RowBlock, real: Real) -> Any:
    """Build the kernel of what each row of a plan costs, where it is not 0."""
    combine = build_combine(block, plus, plus, plus)
    across, threads = block.across, block.count
    board_shape = (3, block.down, block.across + 1)
    zero = real(0)

    def price(first, block_count, m, n, cost, layout, band, output):
        board = cuda.shared.array(board_shape, real)
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        total = zero
        for j in range(cuda.threadIdx.y * across + cuda.threadIdx.x, n, threads):
            part = band[index * n + j]
            if part != zero:
                total += part * real(entry(cost, layout, COST, index // m, index % m, j))
        total, _, _ = combine(board, total, zero, zero)
        if cuda.threadIdx.x == 0 and cuda.threadIdx.y == 0:
            output[index] = total

    return kernel(price)


@functools.cache
def build_total(block: RowBlock, real: Real) -> Any:
    """Build the kernel of the sum of each row of `source`, (members, size)."""
    combine = build_combine(block, plus, plus, plus)
    across, threads = block.across, block.count
    board_shape = (3, block.down, block.across + 1)
    zero = real(0)

    def total(first, block_count, size, source, output):
        board = cuda.shared.array(board_shape, real)
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        whole = zero
        for place in range(cuda.threadIdx.y * across + cuda.threadIdx.x, size, threads):
            whole += source[index * size + place]
        whole, _, _ = combine(board, whole, zero, zero)
        if cuda.threadIdx.x == 0 and cuda.threadIdx.y == 0:
            output[index] = whole

    return kernel(total)
