"""Soft time warping, on the CPU.

A task is a batch member, computed in strips of rows and antidiagonals in them (see `strips`). Going forward, the shares
of the three entries before each are kept if the alignment is asked for; going back, what passes an entry is handed to
those three by their shares, without an exponential.

Bound by: three exponentials and a logarithm for each entry, in vectors; back, by the three shares that are read.
Differs from the reference by rounding: exponents are differences of costs, divided by the temperature, where the
reference divides before it subtracts.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import SoftWarping

from ..attention import kernels_of
from ..blocks import fill
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array, lay
from ..pointers import moved
from ..power import powers_of
from ..real import Real
from .strips import ROWS, diagonal_of, lanes, steps_of_strips

__all__ = ["soft_dtw"]

ENTRY = 96
"""What an entry costs, in multiply-adds."""


class Steps(NamedTuple):
    """One antidiagonal of a strip; lane l has the place l + 1 of rows of totals."""

    soften: Any
    """soften(now, before, two_before, cost, low, mass, shares, first, stop, gamma): totals, and in three rows the
    exponentials of their parts."""
    divide: Any
    """divide(shares, mass, first, stop): shares in place of these exponentials."""
    receive: Any
    """receive(passed, corner, up, left, first, stop): what passes each entry."""
    hand: Any
    """hand(to, passed, shares, first, stop): what it hands on."""


@cache
def steps_of(real: Real) -> Steps:
    """Make the steps of one precision."""
    zero, one, infinity, exp = real.number(0), real.number(1), real.number(np.inf), real.exp
    log, of = powers_of(real).log, str(real.dtype)
    largest = real.number(math.log(float(np.finfo(real.dtype).max)))

    def lowest(low, before, two_before, first, stop):
        for lane in range(first, stop):
            corner, above, left = two_before[lane], before[lane], before[lane + 1]
            best = above if above < corner else corner
            low[lane] = left if left < best else best

    lowest = part(lowest, of)

    def weight(low, total, inverse):
        """The exponential of an entry's advantage; of infinite ones as the reference has it, of a NaN itself."""
        boundless = infinity if -total * inverse > largest else zero
        usual = boundless if low == -infinity else exp((low - total) * inverse)
        usual = zero if low == infinity else usual
        return usual if total == total else total

    weight = part(weight, of, inline=True)

    def weigh(share, low, totals, first, stop, inverse):
        for lane in range(first, stop):
            share[lane] = weight(low[lane], totals[lane], inverse)

    weigh = part(weigh, of)

    def add_up(mass, corner, above, left, first, stop):
        for lane in range(first, stop):
            mass[lane] = (corner[lane] + above[lane]) + left[lane]

    add_up = part(add_up, of)

    def go_on(now, cost, low, mass, first, stop, gamma):
        for lane in range(first, stop):
            # Where everything before is infinite stays so, whatever an entry costs.
            gain = zero if mass[lane] == infinity else gamma * log(mass[lane])
            now[lane] = infinity if mass[lane] == zero else cost[lane] + (low[lane] - gain)

    go_on = part(go_on, of)

    def soften(now, before, two_before, cost, low, mass, corner, above, left, first, stop, gamma):
        inverse = one / gamma
        lowest(low, before, two_before, first, stop)
        weigh(corner, low, two_before, first, stop, inverse)
        weigh(above, low, before, first, stop, inverse)
        weigh(left, low, moved(before, 1), first, stop, inverse)
        add_up(mass, corner, above, left, first, stop)
        go_on(moved(now, 1), cost, low, mass, first, stop, gamma)

    def divide(share, mass, first, stop):
        for lane in range(first, stop):
            share[lane] /= one if mass[lane] == zero else mass[lane]

    def receive(passed, corner, up, left, first, stop):
        for lane in range(first, stop):
            passed[lane] = (corner[lane + 1] + up[lane + 1]) + left[lane]

    def hand(to, passed, share, first, stop):
        for lane in range(first, stop):
            to[lane] = passed[lane] * share[lane]

    return Steps(part(soften, of), part(divide, of), part(receive, of), part(hand, of))


def build_soft_dtw(real: Real) -> Any:
    """Make the kernel.

    Operands: cost, gamma (a matrix of one entry). Results: values, alignment or 0; rows, columns, how many lanes all
    steps have together. Scratch: 6 rows of `ROWS` + 1 lanes; the row above a strip, and two pairs of what is handed
    over an edge (columns + 1 each); three shares for each lane of each step, of all steps or of one.
    """
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    open_matrix, reals, steps, gather, of = (
        opener(real),
        real.pointer,
        steps_of(real),
        diagonal_of(real),
        str(real.dtype),
    )

    def forward(cost, place, rows, columns, gamma, scratch, keeps, all_lanes):
        lines, above = reals(scratch[0]), reals(scratch[1])
        shares = reals(scratch[3])
        width = ROWS + 1
        diagonal, low, mass = lines, moved(lines, width), moved(lines, 2 * width)
        fill(above, columns + 1, infinity)
        above[0] = zero
        for first_row in range(0, rows, ROWS):
            height = min(ROWS, rows - first_row)
            now, before, two_before = moved(lines, 3 * width), moved(lines, 4 * width), moved(lines, 5 * width)
            fill(now, 3 * width, infinity)
            two_before[0], before[0] = above[0], above[1]
            base = first_row * (ROWS + columns - 1)
            for t in range(height + columns - 1):
                first, stop = lanes(t, height, columns)
                gather(diagonal, cost, place + first_row * cost.row + t * cost.column, first, stop)
                corner = moved(shares, base + t * height if keeps else 0)
                up, left = moved(corner, all_lanes), moved(corner, 2 * all_lanes)
                steps.soften(now, before, two_before, diagonal, low, mass, corner, up, left, first, stop, gamma)
                if keeps:
                    steps.divide(corner, mass, first, stop)
                    steps.divide(up, mass, first, stop)
                    steps.divide(left, mass, first, stop)
                now[0] = above[t + 2] if t + 1 < columns else infinity
                if t >= height - 1:
                    above[t - height + 2] = now[height]
                now, before, two_before = two_before, now, before
            above[0] = infinity
        return above[columns]

    forward = part(forward, of)

    def backward(alignment, rows, columns, end, scratch, all_lanes):
        lines, edges, shares = reals(scratch[0]), reals(scratch[2]), reals(scratch[3])
        width, edge = ROWS + 1, columns + 1
        passed, up, left = lines, moved(lines, width), moved(lines, 2 * width)
        below_up, below_corner = edges, moved(edges, edge)
        own_up, own_corner = moved(edges, 2 * edge), moved(edges, 3 * edge)
        fill(edges, 4 * edge, zero)
        below_corner[columns] = end
        for first_row in range((rows - 1) // ROWS * ROWS, -1, -ROWS):
            height = min(ROWS, rows - first_row)
            corner, one_later = moved(lines, 3 * width), moved(lines, 4 * width)
            fill(up, 4 * width, zero)
            base = first_row * (ROWS + columns - 1)
            for t in range(height + columns - 2, -1, -1):
                first, stop = lanes(t, height, columns)
                j = t - height + 1  # the column of the last row of the strip
                up[height] = below_up[j] if j >= 0 else zero
                corner[height] = below_corner[j + 1] if j >= 0 else zero
                steps.receive(passed, corner, up, left, first, stop)
                share = moved(shares, base + t * height)
                steps.hand(corner, passed, share, first, stop)
                steps.hand(up, passed, moved(share, all_lanes), first, stop)
                steps.hand(left, passed, moved(share, 2 * all_lanes), first, stop)
                for lane in range(first, stop):
                    alignment[(first_row + lane) * columns + t - lane] = passed[lane]
                if t < columns:
                    own_up[t], own_corner[t] = up[0], corner[0]
                corner, one_later = one_later, corner
            below_up, own_up = own_up, below_up
            below_corner, own_corner = own_corner, below_corner
            below_corner[columns] = zero

    backward = part(backward, of)

    def soft_dtw(start, stop, operands, scratch, results):
        cost, warmth = open_matrix(operands, 0), open_matrix(operands, 1)
        values, keeps = reals(results[0]), results[1] != 0
        rows, columns, all_lanes = results[2], results[3], results[4]
        gamma = warmth.memory[0]
        for member in range(start, stop):
            value = forward(cost, cost.places[member], rows, columns, gamma, scratch, keeps, all_lanes)
            values[member] = value
            if keeps:
                end = zero if value == infinity else (one if value == value else value)
                alignment = moved(reals(results[1]), member * rows * columns)
                backward(alignment, rows, columns, end, scratch, all_lanes)

    return kernel(soft_dtw, f"soft-dtw-{real.dtype}")


def soft_dtw(cost: Array, *, gamma: float, return_alignment: bool) -> Any:
    """See `attlas_ref.monotonic.soft_dtw`."""
    dtype, batch, (rows, columns) = cost.dtype, cost.shape[:-2], cost.shape[-2:]
    value = np.empty(batch, dtype=dtype)
    alignment = np.empty(cost.shape, dtype=dtype) if return_alignment else None
    all_lanes = steps_of_strips(rows, columns) if return_alignment else ROWS
    launch(
        kernels_of(build_soft_dtw, dtype),
        value.size,
        [lay(cost, batch), lay(np.array([[gamma]], dtype=dtype), ())],
        (value, 0 if alignment is None else alignment, rows, columns, all_lanes),
        (6 * (ROWS + 1), columns + 1, 4 * (columns + 1), 3 * all_lanes),
        dtype,
        cost.size * ENTRY,
    )
    return value if alignment is None else SoftWarping(value, alignment)
