"""The chart of trees without crossing arcs, filled and read back by a team of threads.

It is stored by the width of a stretch and then by its start: all stretches of one width are computed together, those
side by side in memory by threads side by side, and the groups of threads share the terms of a sum. Going inside, the
largest term and the sum of all others beside it are kept for each stretch; going outside, they turn terms into shares.

A chart of `size` tokens is a row of squares in `field`.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

from ..rules import Real
from ..target import device_using_cuda
from .sums import build_log
from .teams import Team, build_wait

LEFT, RIGHT, ARC_LEFT, ARC_RIGHT, USE_LEFT, USE_RIGHT, USE_ARC_LEFT, USE_ARC_RIGHT = range(8)
"""Numbers of stretches: complete ones with the head at the right end, at the left end; the same with an arc between the
ends. First their weights, then their probabilities: those of complete ones as parts of nothing larger before, of all
stretches after the way outside."""

TOP, MASS = range(2)
TERMS_OF_LEFT, TERMS_OF_RIGHT, TERMS_BETWEEN = 8, 10, 12
"""Of each sum its largest term, and all terms divided by that."""

SQUARES = 14


@functools.cache
def build_partial_sums(team: Team, real: Real) -> Callable[..., Any]:
    """Build partial_sums(...): each group of threads sums some parts of the stretches of one width.

    The factors of part s of stretch i stand at `left + s * left_step + i` and `right + s * right_step + i`. The largest
    term and the sum of the others go to `parts`, where every group has 2 `size` numbers.
    """
    across, down = team.across, team.down
    zero, lowest = real(0), real(-math.inf)

    @device_using_cuda
    def partial_sums(x, y, field, left, left_step, right, right_step, width, count, parts, size):
        own = parts + y * 2 * size
        for i in range(x, count, across):
            top = lowest
            for s in range(y, width, down):
                top = max(top, field[left + s * left_step + i] + field[right + s * right_step + i])
            shift = zero if top == lowest else top
            mass = zero
            for s in range(y, width, down):
                term = field[left + s * left_step + i] + field[right + s * right_step + i]
                mass += real(math.exp(term - shift))
            field[own + i] = top
            field[own + size + i] = mass

    return partial_sums


@functools.cache
def build_merged(team: Team, real: Real) -> Callable[..., Any]:
    """Build merged(...), which merges what the groups have for one stretch, keeps it, and returns its logarithm."""
    log_of, down = build_log(real), team.down
    zero, lowest = real(0), real(-math.inf)

    @device_using_cuda
    def merged(field, parts, size, i, terms, square):
        top = lowest
        for group in range(down):
            top = max(top, field[parts + group * 2 * size + i])
        top = zero if top == lowest else top
        mass = zero
        for group in range(down):
            own = parts + group * 2 * size + i
            mass += field[own + size] * real(math.exp(field[own] - top))
        field[terms + TOP * square] = top
        field[terms + MASS * square] = mass
        return log_of(mass) + top

    return merged


@functools.cache
def build_inside(team: Team, real: Real) -> Callable[..., Any]:
    """Build inside(...), which fills the chart; arcs come as the scores of arcs alone.

    `parts` holds 4 `size` numbers for each group of threads.
    """
    partial_sums, merged, wait = build_partial_sums(team, real), build_merged(team, real), build_wait(team)
    across, down, threads = team.across, team.down, team.count
    zero = real(0)

    @device_using_cuda
    def inside(x, y, field, chart, size, parts):
        t = y * across + x
        square = size * size
        left = chart + LEFT * square
        right = chart + RIGHT * square
        arc_left = chart + ARC_LEFT * square
        arc_right = chart + ARC_RIGHT * square
        others = parts + down * 2 * size
        for i in range(t, size, threads):
            field[left + i] = zero
            field[right + i] = zero
        wait()
        for width in range(1, size):
            at = width * size
            count = size - width
            rest = at - size + 1  # from part to part shorter by one, and further to the right
            partial_sums(x, y, field, right, size, left + rest, 1 - size, width, count, parts, size)
            wait()
            for i in range(t, count, threads):
                both = merged(field, parts, size, i, chart + TERMS_BETWEEN * square + at + i, square)
                field[arc_right + at + i] += both
                field[arc_left + at + i] += both
            wait()
            partial_sums(x, y, field, arc_right + size, size, right + rest, 1 - size, width, count, parts, size)
            partial_sums(x, y, field, left, size, arc_left + at, 1 - size, width, count, others, size)
            wait()
            for i in range(t, count, threads):
                field[right + at + i] = merged(
                    field, parts, size, i, chart + TERMS_OF_RIGHT * square + at + i, square
                )  # fmt: skip
                field[left + at + i] = merged(
                    field, others, size, i, chart + TERMS_OF_LEFT * square + at + i, square
                )  # fmt: skip
            wait()

    return inside


@functools.cache
def build_divide(team: Team, real: Real) -> Callable[..., Any]:
    """Build divide(...), which hands the probabilities of stretches down to their parts, by the size of the terms.

    No two terms of the stretches of one width have a part in common, so threads do not meet.
    """
    across, down = team.across, team.down
    zero, one = real(0), real(1)

    @device_using_cuda
    def divide(x, y, field, terms, square, first, second, uses, left, left_step, right, right_step, width, count):
        """`first` and, if it is not negative, `second` hold the probabilities; parts have theirs `uses` further on."""
        for i in range(x, count, across):
            mass = field[terms + MASS * square + i]
            probability = field[first + i]
            if second >= 0:
                probability += field[second + i]
            scale = probability / (one if mass == zero else mass)
            for s in range(y, width, down):
                of_left = left + s * left_step + i
                of_right = right + s * right_step + i
                share = real(math.exp((field[of_left] + field[of_right]) - field[terms + i])) * scale
                field[of_left + uses] += share
                field[of_right + uses] += share

    return divide


@functools.cache
def build_outside(team: Team, real: Real) -> Callable[..., Any]:
    """Build outside(...), which hands the probabilities of complete stretches down to all others."""
    divide, wait = build_divide(team, real), build_wait(team)

    @device_using_cuda
    def outside(x, y, field, chart, size):
        square = size * size
        uses = USE_LEFT * square
        left = chart + LEFT * square
        right = chart + RIGHT * square
        arc_left = chart + ARC_LEFT * square
        arc_right = chart + ARC_RIGHT * square
        for width in range(size - 1, 0, -1):
            at = width * size
            count = size - width
            rest = at - size + 1
            divide(
                x, y, field, chart + TERMS_OF_RIGHT * square + at, square, right + uses + at, -1, uses,
                arc_right + size, size, right + rest, 1 - size, width, count,
            )  # fmt: skip
            wait()
            divide(
                x, y, field, chart + TERMS_OF_LEFT * square + at, square, left + uses + at, -1, uses,
                left, size, arc_left + at, 1 - size, width, count,
            )  # fmt: skip
            wait()  # all stretches that hold this one's arcs are done
            divide(
                x, y, field, chart + TERMS_BETWEEN * square + at, square, arc_right + uses + at, arc_left + uses + at,
                uses, right, size, left + rest, 1 - size, width, count,
            )  # fmt: skip
            wait()

    return outside
