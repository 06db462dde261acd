"""The steps of Sinkhorn's iteration on one member, as `sinkhorn` strings them together.

Bound by and differs as said there. A sweep reads the kernel once, row by row; in logarithms it reads the costs.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..compile import part
from ..memory.launch import opener
from ..pointers import Matrix, bytes_at, places_at
from ..real import Real
from .transport import build_parts

SCALED, LOGS, AGAIN, DONE = 0, 1, 2, 3
"""What a member's next sweep is: on the kernel; in logarithms; in logarithms because a sum left the range; none."""


class Given(NamedTuple):
    """What a kernel finds in its tables."""

    cost: Any
    mask: Any
    plan: Any
    a: Any
    b: Any
    row_log: Any
    """F, (members, m)"""
    row_scale: Any
    """u"""
    column_log: Any
    """G, (members, n)"""
    column_scale: Any
    """v"""
    sums: Any
    """(members, blocks, n): what each block adds to Σ_i K_ij u_i"""
    most: Any
    """(members, blocks, n), with `total` the columns' sums in logarithms"""
    total: Any
    state: Any
    """(members,)"""
    spoiled: Any
    """(members,): whether an infinite score stands in a column"""
    bad: Any
    """(members, blocks): whether a row's sum has left the range"""
    m: Any
    n: Any
    per_block: Any
    blocks: Any
    has_mask: Any
    stops: Any
    """Whether there is a tolerance"""
    factor: Any
    """-1 / epsilon"""
    tolerance: Any


class Steps(NamedTuple):
    """Compiled parts for one precision, each of one member."""

    open_given: Any
    """open_given(operands, results): the tables as `Given`."""
    settle: Any
    """settle(given, member): the columns' scalings for the next step, or what else it must be."""
    columns: Any
    """columns(given, line, member, block): sums of columns in logarithms."""
    merge: Any
    """merge(given, member): the columns' potentials from these."""
    sweep: Any
    """sweep(given, line, tops, member, block): put the rows right."""
    retreat: Any
    """retreat(given, member): turn a sweep that left the range into one in logarithms."""
    finish: Any
    """finish(given, member, block): the plan in place of the kernel."""
    find_open: Any
    """find_open(given, line, member, block): which rows and columns have an allowed pair."""


@cache
def build_steps(real: Real) -> Steps:
    """Make the parts, once per precision."""
    number, reals = real.number, real.pointer
    zero, one, infinity, nan = number(0), number(1), number(np.inf), number(np.nan)
    reach = number(2.0**30 if real.dtype.itemsize == 4 else 2.0**200)
    floor, exp, open_matrix, of = one / reach, real.exp, opener(real), str(real.dtype)
    read, top, total_of, dot, begin, absorb, merged = build_parts(real)

    def open_given(operands, results):
        numbers = reals(results[13])
        return Given(
            open_matrix(operands, 0),
            Matrix(bytes_at(operands[4]), places_at(operands[5]), operands[6], operands[7]),
            reals(results[0]), reals(results[1]), reals(results[2]), reals(results[3]), reals(results[4]),
            reals(results[5]), reals(results[6]), reals(results[7]), reals(results[8]), reals(results[9]),
            places_at(results[10]), places_at(results[11]), places_at(results[12]),
            results[14], results[15], results[16], results[17], results[18], results[19],
            numbers[0], numbers[1],
        )  # fmt: skip

    open_given = part(open_given, of)

    def in_range(x):
        return (x >= floor) & (x <= reach)

    in_range = part(in_range, of, inline=True)

    def scores_of(given, line, member, row):
        read(line, given.cost, given.mask, given.has_mask, member, row, given.n, given.factor)

    scores_of = part(scores_of, of)

    def settle(given, member):
        """Scale the columns to their masses; decide what the next sweep is."""
        n, at, here = given.n, member * given.n, member * given.blocks * given.n
        sums, v, b, potential = given.sums, given.column_scale, given.b, given.column_log
        if given.state[member] == DONE:
            return
        for block in range(1, given.blocks):
            for j in range(n):
                sums[here + j] += sums[here + block * n + j]
        if given.stops:
            wrong = given.spoiled[member]
            for j in range(n):
                error = abs(v[at + j] * sums[here + j] - b[at + j])
                wrong += 0 if error <= given.tolerance else 1  # a NaN never comes to rest
            if wrong == 0:
                given.state[member] = DONE
                return
        outside = given.spoiled[member]
        for j in range(n):
            scale = b[at + j] / sums[here + j]
            closed = potential[at + j] == -infinity
            outside += 0 if closed | in_range(scale) else 1
            v[at + j] = zero if closed else scale
        given.state[member] = LOGS if outside else SCALED

    settle = part(settle, of)

    def columns(given, line, member, block):
        """Sum exp(f - C / epsilon) over the rows of a block, for every column."""
        n = given.n
        at = (member * given.blocks + block) * n
        begin(given.most, given.total, at, n)
        for row in range(block * given.per_block, min(given.m, (block + 1) * given.per_block)):
            place = member * given.m + row
            if given.row_log[place] != -infinity:
                scores_of(given, line, member, row)
                added = given.row_log[place] + np.log(given.row_scale[place])
                absorb(given.most, given.total, at, line, added, n)

    columns = part(columns, of)

    def merge(given, member):
        """Take the columns' potentials from the sums of all blocks."""
        n, here = given.n, member * given.blocks * given.n
        spoiled = 0
        for j in range(n):
            at = member * n + j
            potential = -infinity
            if given.b[at] > zero:
                log_total = merged(given.most, given.total, here + j, given.blocks, n)
                spoiled += log_total == infinity
                potential = -infinity if log_total == -infinity else np.log(given.b[at]) - log_total
            given.column_log[at] = potential
            given.column_scale[at] = zero if potential == -infinity else one
        given.spoiled[member] = spoiled

    merge = part(merge, of)

    def log_row(given, line, tops, member, row, sums, at_sums):
        """Make a row of the kernel that sums to 1, and its potential."""
        n, place, plan = given.n, member * given.m + row, given.plan
        at, column = place * n, member * n
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

    def sweep(given, line, tops, member, block):
        """Put the rows of a block right, and sum what they then give to the columns."""
        n, column, scaled = given.n, member * given.n, given.state[member] == SCALED
        plan, sums, at_sums = given.plan, given.sums, (member * given.blocks + block) * given.n
        bad = 0
        for j in range(n):
            sums[at_sums + j] = zero
        for row in range(block * given.per_block, min(given.m, (block + 1) * given.per_block)):
            place = member * given.m + row
            if not scaled:
                log_row(given, line, tops, member, row, sums, at_sums)
            elif given.row_log[place] != -infinity:
                whole = dot(plan, place * n, given.column_scale, column, n)
                bad += 0 if in_range(whole) else 1
                scale = given.a[place] / whole
                given.row_scale[place] = scale
                for j in range(n):
                    sums[at_sums + j] += plan[place * n + j] * scale
        given.bad[member * given.blocks + block] = bad

    sweep = part(sweep, of)

    def retreat(given, member):
        """Absorb the columns' scalings if a row's sum has left the range."""
        bad = 0
        for block in range(given.blocks):
            bad += given.bad[member * given.blocks + block]
        if given.state[member] == SCALED and bad:
            for at in range(member * given.n, (member + 1) * given.n):
                if given.column_log[at] != -infinity:
                    given.column_log[at] += np.log(given.column_scale[at])
                    given.column_scale[at] = one
            given.state[member] = AGAIN

    def finish(given, member, block):
        """Scale the kernel to the plan."""
        column = member * given.n
        for row in range(block * given.per_block, min(given.m, (block + 1) * given.per_block)):
            place = member * given.m + row
            at = place * given.n
            for j in range(given.n if given.row_log[place] != -infinity else 0):
                given.plan[at + j] *= given.row_scale[place] * given.column_scale[column + j]

    def find_open(given, line, member, block):
        """Note which rows (in `row_scale`) and columns (in `sums`) of a block have an allowed pair."""
        sums, at_sums = given.sums, (member * given.blocks + block) * given.n
        for j in range(given.n):
            sums[at_sums + j] = zero
        for row in range(block * given.per_block, min(given.m, (block + 1) * given.per_block)):
            scores_of(given, line, member, row)
            count = 0
            for j in range(given.n):
                count += line[j] != -infinity
                sums[at_sums + j] = sums[at_sums + j] if line[j] == -infinity else one
            given.row_scale[member * given.m + row] = one if count else zero

    retreat, finish, find_open = part(retreat, of), part(finish, of), part(find_open, of)
    return Steps(open_given, settle, columns, merge, sweep, retreat, finish, find_open)
