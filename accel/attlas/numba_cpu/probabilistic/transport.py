"""What the kernels of transport plans share: lines of a matrix of costs, and sums of exponentials along both its axes.

A member's rows are cut into blocks, by their number alone: `BLOCKS` at most, so that what a block keeps for every
column grows with the columns only. A block is a task.

The sum of a column is taken online: one (maximum, total) per column and block, one exponential per pair, and the
blocks are merged in order.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..blocks import fill
from ..compile import part
from ..operands import Array, Laid, laid_nothing, lay
from ..real import Real

BLOCKS = 16
"""Of the rows of one member, at most."""

FEWEST = 8
"""Rows of a block, at least; it holds a multiple of them."""

RUN = 512
"""Numbers that are summed before their sum is added to the rest."""

TOPS = 64
"""Maxima that are kept side by side."""


def rows_per_block(m: int) -> int:
    """How many rows a block holds: whole groups, so that no block but the last has single rows."""
    return -(-m // (BLOCKS * FEWEST)) * FEWEST


def laid_mask(mask: Array | None, batch: tuple[int, ...]) -> Laid:
    """Lay a mask out; address 0 if there is none."""
    return laid_nothing(math.prod(batch)) if mask is None else lay(mask, batch)


class Parts(NamedTuple):
    """Compiled parts for one precision; a line is a row of n numbers in contiguous memory."""

    read: Any
    """read(line, cost, mask, has_mask, member, row, n, factor): line = factor · cost, -inf where a mask hides."""
    top: Any
    """top(line, tops, n): the largest entry, NaN if there is one; -inf of nothing."""
    total: Any
    """total(x, at, n)"""
    dot: Any
    """dot(x, x_at, y, y_at, n)"""
    start: Any
    """start(most, total, at, n): nothing seen yet."""
    absorb: Any
    """absorb(most, total, at, line, added, n): add exp(line + added) to the columns; -inf stays so."""
    merged: Any
    """merged(most, total, at, blocks, step): log Σ exp of one column over its blocks."""


@cache
def build_parts(real: Real) -> Parts:
    """Make the parts, once per precision."""
    zero, one, infinity, exp = real.number(0), real.number(1), real.number(np.inf), real.exp
    lowest = real.number(np.finfo(real.dtype).min)
    of = str(real.dtype)

    def read(line, cost, mask, has_mask, member, row, n, factor):
        at = cost.places[member] + row * cost.row
        if cost.column == 1:
            for j in range(n):
                line[j] = cost.memory[at + j] * factor
        else:
            for j in range(n):
                line[j] = cost.memory[at + j * cost.column] * factor
        if has_mask:
            at = mask.places[member] + row * mask.row
            for j in range(n):
                line[j] = line[j] if mask.memory[at + j * mask.column] else -infinity

    def top(line, tops, n):
        fill(tops, TOPS, -infinity)
        whole = n // TOPS * TOPS
        for corner in range(0, whole, TOPS):
            for i in range(TOPS):
                x = line[corner + i]
                tops[i] = x if (x > tops[i]) | (x != x) else tops[i]
        largest = -infinity
        for i in range(TOPS):
            largest = tops[i] if (tops[i] > largest) | (tops[i] != tops[i]) else largest
        for i in range(whole, n):
            largest = line[i] if (line[i] > largest) | (line[i] != line[i]) else largest
        return largest

    def run_total(x, start, stop):
        total = zero
        for i in range(start, stop):
            total += x[i]
        return total

    def run_dot(x, x_at, y, y_at, n):
        total = zero
        for i in range(n):
            total += x[x_at + i] * y[y_at + i]
        return total

    run_total, run_dot = part(run_total, of, reassociate=True), part(run_dot, of, reassociate=True)

    def total(x, at, n):
        whole = zero
        for corner in range(0, n, RUN):
            whole += run_total(x, at + corner, at + min(n, corner + RUN))
        return whole

    def dot(x, x_at, y, y_at, n):
        whole = zero
        for corner in range(0, n, RUN):
            whole += run_dot(x, x_at + corner, y, y_at + corner, min(n - corner, RUN))
        return whole

    def start(most, total, at, n):
        for j in range(at, at + n):
            # Not -inf, of which differences are NaN.
            most[j] = lowest
            total[j] = zero

    def absorb(most, total, at, line, added, n):
        for j in range(n):
            x = -infinity if line[j] == -infinity else line[j] + added
            before = most[at + j]
            distance = zero if x == before else x - before
            shrink = exp(-abs(distance))
            total[at + j] = total[at + j] * shrink + one if distance > zero else total[at + j] + shrink
            most[at + j] = x if distance > zero else before

    def merged(most, total, at, blocks, step):
        largest = most[at]
        for block in range(1, blocks):
            here = most[at + block * step]
            largest = here if here > largest else largest
        whole = zero
        for block in range(blocks):
            here = at + block * step
            whole += total[here] * (one if most[here] == largest else exp(most[here] - largest))
        if whole != whole:
            return whole
        return largest if largest == infinity else real_log(whole) + largest

    def real_log(x):
        return -infinity if x == zero else np.log(x)

    real_log = part(real_log, of, inline=True)
    return Parts(
        part(read, of),
        part(top, of),
        part(total, of),
        part(dot, of),
        part(start, of),
        part(absorb, of),
        part(merged, of),
    )
