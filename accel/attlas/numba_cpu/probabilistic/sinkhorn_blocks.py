"""What Sinkhorn's steps do with a block of rows of one member, as `sinkhorn_steps` strings it together.

Bound by and differs as said in `sinkhorn`. A sweep reads the kernel once from afar, four rows at a time: for their
sums, and again, from the nearest cache, for what they give to the columns. It is then the reading of that cache which
limits: two numbers per pair, and half a number of the columns.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..compile import part
from ..real import Real
from .sinkhorn_given import SCALED, build_in_range
from .transport import build_parts

LONG_RUN = 2048
"""Numbers of each of four rows that are summed before their sum is added to the rest."""


class Blocks(NamedTuple):
    """Compiled parts for one precision, each of one block of one member."""

    survey: Any
    """survey(given, line, member, block): which rows have an allowed pair; the columns' largest and least scores."""
    make: Any
    """make(given, line, member, block): the kernel from scores that all are near each other."""
    columns: Any
    """columns(given, line, member, block): sums of columns in logarithms."""
    sweep: Any
    """sweep(given, line, tops, member, block): put the rows right."""
    finish: Any
    """finish(given, member, block): the plan in place of the kernel."""


@cache
def build_blocks(real: Real) -> Blocks:
    """Make the parts, once per precision."""
    number, in_range = real.number, build_in_range(real)
    zero, one, infinity, nan = number(0), number(1), number(np.inf), number(np.nan)
    exp, of = real.exp, str(real.dtype)
    read, top, total_of, dot, begin, absorb, _ = build_parts(real)

    def scores_of(given, line, member, row):
        read(line, given.cost, given.mask, given.has_mask, member, row, given.n, given.factor)

    scores_of = part(scores_of, of)

    def survey(given, line, member, block):
        """Note which rows have an allowed pair (in `row_scale`), and the columns' largest and least scores of allowed
        pairs (in `most` and `total`)."""
        n, at = given.n, (member * given.blocks + block) * given.wide
        most, least = given.most, given.total
        for j in range(n):
            most[at + j] = -infinity
            least[at + j] = infinity
        for row in range(block * given.per_block, min(given.m, (block + 1) * given.per_block)):
            scores_of(given, line, member, row)
            count = 0
            for j in range(n):
                x = line[j]
                count += x != -infinity
                most[at + j] = x if (x > most[at + j]) | (x != x) else most[at + j]
                least[at + j] = x if (x < least[at + j]) & (x != -infinity) else least[at + j]
            given.row_scale[member * given.m + row] = one if count else zero

    def make(given, line, member, block):
        """Make the kernel, and sum its columns."""
        n, sums, at_sums = given.n, given.sums, (member * given.blocks + block) * given.wide
        plan, shift = given.plan, given.shift[member]
        for j in range(n):
            sums[at_sums + j] = zero
        for row in range(block * given.per_block, min(given.m, (block + 1) * given.per_block)):
            place = member * given.m + row
            closed = given.a[place] == zero
            given.row_log[place] = -infinity if closed else -shift
            given.row_scale[place] = one
            at = place * n
            scores_of(given, line, member, row)
            for j in range(n):
                x = zero if closed else exp(line[j] - shift)
                plan[at + j] = x
                sums[at_sums + j] += x

    def columns(given, line, member, block):
        """Sum exp(f - C / epsilon) over the rows of a block, for every column."""
        n = given.n
        at = (member * given.blocks + block) * given.wide
        begin(given.most, given.total, at, n)
        for row in range(block * given.per_block, min(given.m, (block + 1) * given.per_block)):
            place = member * given.m + row
            if given.row_log[place] != -infinity:
                scores_of(given, line, member, row)
                added = given.row_log[place] + np.log(given.row_scale[place])
                absorb(given.most, given.total, at, line, added, n)

    columns = part(columns, of)

    survey, make = part(survey, of), part(make, of)

    def log_row(given, line, tops, member, row, sums, at_sums):
        """Make a row of the kernel that sums to 1, and its potential."""
        n, place, plan = given.n, member * given.m + row, given.plan
        at, column = place * n, member * given.wide
        if given.a[place] == zero:
            given.row_log[place] = -infinity
            for j in range(n):
                plan[at + j] = zero
            return
        scores_of(given, line, member, row)
        lost = 0
        for j in range(n if given.spoiled[member] else 0):
            lost += (line[j] == infinity) & (given.b[column + j] > zero)
        for j in range(n):
            potential = given.column_log[column + j]
            closed = (line[j] == -infinity) | (potential == -infinity)
            line[j] = -infinity if closed else line[j] + potential
        largest = top(line, tops, n)
        potential = -infinity
        if largest < infinity:
            shift = zero if largest == -infinity else largest
            for j in range(n):
                plan[at + j] = exp(line[j] - shift)
            whole = total_of(plan, at, n)
            if whole > zero:
                potential = -(shift + np.log(whole))
            share = one / (whole if whole > zero else one)
            for j in range(n):
                plan[at + j] *= share
        else:
            strange = largest - largest  # NaN
            potential = strange if largest != infinity else -infinity
            for j in range(n):
                plan[at + j] = zero if line[j] == -infinity else strange
        given.row_log[place] = nan if lost else potential
        given.row_scale[place] = given.a[place]
        for j in range(n):
            sums[at_sums + j] += plan[at + j] * given.a[place]

    log_row = part(log_row, of)

    def four_dots(x, at, n, y, y_at, start, stop):
        first, second, third, fourth = zero, zero, zero, zero
        b, c, d = at + n, at + 2 * n, at + 3 * n
        for j in range(start, stop):
            weight = y[y_at + j]
            first += x[at + j] * weight
            second += x[b + j] * weight
            third += x[c + j] * weight
            fourth += x[d + j] * weight
        return first, second, third, fourth

    four_dots = part(four_dots, of, reassociate=True)

    def add_four(sums, at_sums, x, at, n, first, second, third, fourth):
        b, c, d = at + n, at + 2 * n, at + 3 * n
        for j in range(n):
            # A chain, of which each link is one rounding.
            total = sums[at_sums + j] + x[at + j] * first
            total = total + x[b + j] * second
            total = total + x[c + j] * third
            sums[at_sums + j] = total + x[d + j] * fourth

    add_four = part(add_four, of)

    def all_open(log, at):
        two = (log[at] != -infinity) & (log[at + 1] != -infinity)
        return two & (log[at + 2] != -infinity) & (log[at + 3] != -infinity)

    all_open = part(all_open, of)

    def sweep_four(given, member, row, sums, at_sums):
        """Put four rows right that all have pairs; returns how many sums have left the range."""
        n, place, column = given.n, member * given.m + row, member * given.wide
        first, second, third, fourth = zero, zero, zero, zero
        for start in range(0, n, LONG_RUN):
            dots = four_dots(given.plan, place * n, n, given.column_scale, column, start, min(n, start + LONG_RUN))
            first, second, third, fourth = first + dots[0], second + dots[1], third + dots[2], fourth + dots[3]
        good = in_range(first) & in_range(second) & in_range(third) & in_range(fourth)
        a, scale = given.a, given.row_scale
        scale[place] = a[place] / first
        scale[place + 1] = a[place + 1] / second
        scale[place + 2] = a[place + 2] / third
        scale[place + 3] = a[place + 3] / fourth
        add_four(
            sums, at_sums, given.plan, place * n, n, scale[place], scale[place + 1], scale[place + 2], scale[place + 3]
        )
        return 0 if good else 1

    def sweep_one(given, member, row, sums, at_sums):
        """Put one row right; returns whether its sum has left the range."""
        n, place = given.n, member * given.m + row
        at, plan = place * n, given.plan
        whole = dot(plan, at, given.column_scale, member * given.wide, n)
        scale = given.a[place] / whole
        given.row_scale[place] = scale
        for j in range(n):
            sums[at_sums + j] += plan[at + j] * scale
        return 0 if in_range(whole) else 1

    sweep_four, sweep_one = part(sweep_four, of), part(sweep_one, of)

    def sweep(given, line, tops, member, block):
        """Put the rows of a block right, and sum what they then give to the columns."""
        sums, at_sums = given.sums, (member * given.blocks + block) * given.wide
        row, stop = block * given.per_block, min(given.m, (block + 1) * given.per_block)
        bad = 0
        for j in range(given.n):
            sums[at_sums + j] = zero
        while row < stop:
            place = member * given.m + row
            if given.state[member] != SCALED:
                log_row(given, line, tops, member, row, sums, at_sums)
            elif row + 4 <= stop and all_open(given.row_log, place):
                bad += sweep_four(given, member, row, sums, at_sums)
                row += 3
            elif given.row_log[place] != -infinity:
                bad += sweep_one(given, member, row, sums, at_sums)
            row += 1
        given.bad[member * given.blocks + block] = bad

    def finish(given, member, block):
        """Scale the kernel to the plan."""
        plan, column_scale, column = given.plan, given.column_scale, member * given.wide
        for row in range(block * given.per_block, min(given.m, (block + 1) * given.per_block)):
            place = member * given.m + row
            at, scale = place * given.n, given.row_scale[place]
            for j in range(given.n if given.row_log[place] != -infinity else 0):
                plan[at + j] *= scale * column_scale[column + j]

    return Blocks(survey, make, columns, part(sweep, of), part(finish, of))
