"""Time warping, soft and hard, on Numba-CUDA.

A warp, or a block where diagonals are long, has a batch member: threads side by side take the entries of an
antidiagonal. Going forward, the shares of the three entries before each are kept if they are asked for, diagonal by
diagonal, so that neighbors write and read neighboring memory; going back, an entry collects from the three behind it.
The cheapest path is followed back by one thread.

Bound by: the r + c - 1 antidiagonals of a member, one after the other, a wait each, until there are enough members to
fill a GPU; then by the bytes of the shares. Neighbors read costs of different rows; a line of memory serves them for
many diagonals.
Differs from the reference by rounding: exponents are differences of costs, divided by the temperature, where the
reference divides before it subtracts. The cheapest path differs in nothing.
"""

import functools
import math
from typing import Any

import numpy as np

from attlas_ref.contract import SoftWarping, WarpingPath

from ..operands import dtype_of, lay_out, shape_of
from ..pieces import entry
from ..probabilistic.teams import Team, build_seat, build_wait, in_turns, most_at_once
from ..rules import Real
from ..target import allocate, device, kernel, launch, shaped
from .lattice import team_of

__all__ = ["dtw_path", "soft_dtw"]

COST = 0
"""The row of the table of operands."""
CORNER, ABOVE, LEFT = range(3)


@device
def smaller(x, than):
    """Whether x is smaller, where a NaN is smaller than all numbers, as NumPy's argmin has it."""
    return x < than or (x != x and than == than)


@functools.cache
def build_soft(team: Team, real: Real, keeps: bool) -> Any:
    """Build the kernel of the soft minimum; a member has three diagonals of `field`, and with `keeps` the shares."""
    seat, wait = build_seat(team), build_wait(team)
    across, threads = team.across, team.count
    zero, one, infinity = real(0), real(1), real(math.inf)

    @device
    def advantage(total, low, gamma):
        """The exponential of what an entry saves; `low` is finite, or 0 in place of an infinite one."""
        return real(math.exp((low - total) / gamma))

    def soft_dtw(
        first, block_count, first_member, problems, rows, columns, gamma, cost, layout, field, shares, log_partition,
        marginals,
    ):  # fmt: skip
        local, x, y = seat(first)
        if local >= problems:
            return
        thread = y * across + x
        batch = first_member + local
        width = rows + 1
        at = local * 3 * width
        diagonals = rows + columns - 1
        short = min(rows, columns)
        plane = diagonals * short
        shares_at = local * 3 * plane
        for place in range(thread, 3 * width, threads):
            field[at + place] = infinity
        wait()
        if thread == 0:
            field[at + width] = zero  # before the first entry, two diagonals ahead of the first one
        wait()
        for d in range(diagonals):
            now = at + d % 3 * width
            before = at + (d + 2) % 3 * width
            two_before = at + (d + 1) % 3 * width
            lowest_row = max(0, d - columns + 1)
            for i in range(lowest_row + thread, min(rows, d + 1), threads):
                corner = field[two_before + i]
                above = field[before + i]
                left = field[before + i + 1]
                low = min(min(corner, above), left)
                low = zero if abs(low) == infinity else low
                in_corner = advantage(corner, low, gamma)
                in_above = advantage(above, low, gamma)
                in_left = advantage(left, low, gamma)
                mass = (in_corner + in_above) + in_left
                total = infinity
                if mass != zero:
                    price = entry(cost, layout, COST, batch, i, d - i)
                    total = price + (low - gamma * real(math.log(mass)))
                field[now + i + 1] = total
                if keeps:
                    mass = one if mass == zero else mass
                    place = shares_at + d * short + i - lowest_row
                    shares[place] = in_corner / mass
                    shares[place + plane] = in_above / mass
                    shares[place + 2 * plane] = in_left / mass
            # The border above and to the left of the matrix is out of reach, but for its corner.
            if thread == 0:
                field[now] = infinity
            wait()
        value = field[at + (diagonals - 1) % 3 * width + rows]
        if thread == 0:
            log_partition[batch] = value
        if keeps:
            result = batch * rows * columns
            for d in range(diagonals - 1, -1, -1):
                lowest_row = max(0, d - columns + 1)
                next_lowest = max(0, d - columns + 2)
                last_lowest = max(0, d - columns + 3)
                for i in range(lowest_row + thread, min(rows, d + 1), threads):
                    j = d - i
                    passed = zero
                    if d == diagonals - 1 and value != infinity:
                        passed = one if value == value else value
                    if i + 1 < rows and j + 1 < columns:
                        share = shares[shares_at + (d + 2) * short + i + 1 - last_lowest]
                        passed += marginals[result + (i + 1) * columns + j + 1] * share
                    if i + 1 < rows:
                        share = shares[shares_at + plane + (d + 1) * short + i + 1 - next_lowest]
                        passed += marginals[result + (i + 1) * columns + j] * share
                    if j + 1 < columns:
                        share = shares[shares_at + 2 * plane + (d + 1) * short + i - next_lowest]
                        passed += marginals[result + i * columns + j + 1] * share
                    marginals[result + i * columns + j] = passed
                wait()

    return kernel(soft_dtw)


@functools.cache
def build_hard(team: Team, real: Real) -> Any:
    """Build the kernel of the cheapest path; a member has three diagonals of `field`, and its steps in `pointers`."""
    seat, wait = build_seat(team), build_wait(team)
    across, threads = team.across, team.count
    zero, infinity = real(0), real(math.inf)

    def dtw_path(
        first, block_count, first_member, problems, rows, columns, cost, layout, field, pointers, log_partition, path
    ):
        local, x, y = seat(first)
        if local >= problems:
            return
        thread = y * across + x
        batch = first_member + local
        width = rows + 1
        at = local * 3 * width
        diagonals = rows + columns - 1
        short = min(rows, columns)
        pointers_at = local * diagonals * short
        result = batch * rows * columns
        for place in range(thread, 3 * width, threads):
            field[at + place] = infinity
        for place in range(thread, rows * columns, threads):
            path[result + place] = 0
        wait()
        if thread == 0:
            field[at + width] = zero
        wait()
        for d in range(diagonals):
            now = at + d % 3 * width
            before = at + (d + 2) % 3 * width
            two_before = at + (d + 1) % 3 * width
            lowest_row = max(0, d - columns + 1)
            for i in range(lowest_row + thread, min(rows, d + 1), threads):
                best = field[two_before + i]
                choice = CORNER
                if smaller(field[before + i], best):
                    best = field[before + i]
                    choice = ABOVE
                if smaller(field[before + i + 1], best):
                    best = field[before + i + 1]
                    choice = LEFT
                pointers[pointers_at + d * short + i - lowest_row] = choice
                total = infinity
                if best != infinity:
                    total = entry(cost, layout, COST, batch, i, d - i) + best
                field[now + i + 1] = total
            if thread == 0:
                field[now] = infinity
            wait()
        if thread == 0:
            value = field[at + (diagonals - 1) % 3 * width + rows]
            log_partition[batch] = value
            i = rows - 1
            j = columns - 1
            while value < infinity and i >= 0 and j >= 0:
                path[result + i * columns + j] = 1
                lowest_row = max(0, i + j - columns + 1)
                choice = pointers[pointers_at + (i + j) * short + i - lowest_row]
                if choice != LEFT:
                    i -= 1
                if choice != ABOVE:
                    j -= 1

    return kernel(dtw_path)


def soft_dtw(cost: Any, *, gamma: float, return_alignment: bool) -> Any:
    """Compute `attlas_ref.soft_dtw`."""
    shape, dtype, keeps = shape_of(cost), dtype_of(cost), return_alignment
    batch, (rows, columns) = shape[:-2], shape[-2:]
    real: Any = dtype.type
    (memory,), layout = lay_out([cost], batch)
    members, short = math.prod(batch), min(rows, columns)
    plane, team = (rows + columns - 1) * short if keeps else 0, team_of(short)
    numbers = 3 * (rows + 1 + plane)
    at_once = most_at_once(members, numbers)
    field, shares = allocate((at_once, 3, rows + 1), dtype), allocate((at_once, 3, plane), dtype)
    log_partition, marginals = allocate(batch, dtype), allocate(shape if keeps else (1,), dtype)
    for first, count in in_turns(members, numbers):
        launch(
            build_soft(team, real, keeps), team.blocks(count), team.block.threads,
            first, count, rows, columns, real(gamma), memory, layout, field, shares, log_partition, marginals,
        )  # fmt: skip
    value = shaped(log_partition, batch)
    return SoftWarping(value, shaped(marginals, shape)) if keeps else value


def dtw_path(cost: Any) -> WarpingPath:
    """Compute `attlas_ref.dtw_path`."""
    shape, dtype, integers = shape_of(cost), dtype_of(cost), np.dtype(np.int64)
    batch, (rows, columns) = shape[:-2], shape[-2:]
    real: Any = dtype.type
    (memory,), layout = lay_out([cost], batch)
    members, short = math.prod(batch), min(rows, columns)
    plane, team = (rows + columns - 1) * short, team_of(short)
    numbers = 3 * (rows + 1) + plane
    at_once = most_at_once(members, numbers)
    field, pointers = allocate((at_once, 3, rows + 1), dtype), allocate((at_once, plane), integers)
    log_partition, path = allocate(batch, dtype), allocate(shape, integers)
    for first, count in in_turns(members, numbers):
        launch(
            build_hard(team, real), team.blocks(count), team.block.threads,
            first, count, rows, columns, memory, layout, field, pointers, log_partition, path,
        )  # fmt: skip
    return WarpingPath(shaped(log_partition, batch), shaped(path, shape))
