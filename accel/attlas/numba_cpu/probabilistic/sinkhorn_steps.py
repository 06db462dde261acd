"""The steps of Sinkhorn's iteration on one member: turns, in each of which something is done with every block of rows,
and what must be decided between them.

Bound by and differs as said in `sinkhorn`.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..compile import part
from ..real import Real
from .sinkhorn_blocks import build_blocks
from .sinkhorn_given import AGAIN, DONE, LOGS, NEW, SCALED, build_in_range
from .transport import build_parts

MAKE, COLUMNS, ROWS, FINISH = 0, 1, 2, 3
"""What is done with the blocks in a turn."""


class Steps(NamedTuple):
    """Compiled parts for one precision, each of one member."""

    work: Any
    """work(given, line, tops, member, block): what the turn asks for."""
    advance: Any
    """advance(given, member): prepare the next turn; whether there is none."""


@cache
def build_steps(real: Real) -> Steps:
    """Make the parts, once per precision."""
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    of, in_range, merged = str(real.dtype), build_in_range(real), build_parts(real).merged
    blocks = build_blocks(real)
    make, columns, sweep, finish = blocks.make, blocks.columns, blocks.sweep, blocks.finish

    def work(given, line, tops, member, block):
        turn = given.turn[2 * member]
        if given.turn[2 * member + 1] % 2:  # every other step goes backwards: what came last is still near
            block = given.blocks - 1 - block
        if turn == ROWS:
            sweep(given, line, tops, member, block)
        elif turn == COLUMNS:
            columns(given, line, member, block)
        elif turn == MAKE:
            make(given, line, member, block)
        else:
            finish(given, member, block)

    work = part(work, of)

    def settle(given, member):
        """Scale the columns to their masses; decide what the next sweep is."""
        n, at, here = given.n, member * given.wide, member * given.blocks * given.wide
        sums, v, b, potential = given.sums, given.column_scale, given.b, given.column_log
        for block in range(1, given.blocks):
            for j in range(n):
                sums[here + j] += sums[here + block * given.wide + j]
        if given.stops and given.state[member] != NEW:
            wrong = given.spoiled[member]
            for j in range(n):
                error = abs(v[at + j] * sums[here + j] - b[at + j])
                wrong += 0 if error <= given.tolerance else 1  # a NaN never comes to rest
            if wrong == 0:
                given.state[member] = DONE
                return
        # Few arrays per loop: the compiler takes vectors only where it can check that none lies over another.
        for j in range(n):
            sums[here + j] = b[at + j] / sums[here + j]
        outside, moved = given.spoiled[member], 0
        for j in range(n):
            closed = potential[at + j] == -infinity
            outside += 0 if closed | in_range(sums[here + j]) else 1
            sums[here + j] = zero if closed else sums[here + j]
        for j in range(n):
            moved += 0 if sums[here + j] == v[at + j] else 1
            v[at + j] = sums[here + j]
        if given.state[member] == SCALED and not (outside or moved):
            # The next sweep would be the last one again, and so on to the end.
            given.state[member] = DONE
        else:
            given.state[member] = LOGS if outside else SCALED

    settle = part(settle, of)

    def merge(given, member):
        """Take the columns' potentials from the sums of all blocks."""
        n, here = given.n, member * given.blocks * given.wide
        spoiled = 0
        for j in range(n):
            at = member * given.wide + j
            potential = -infinity
            if given.b[at] > zero:
                log_total = merged(given.most, given.total, here + j, given.blocks, given.wide)
                spoiled += log_total == infinity
                potential = -infinity if log_total == -infinity else np.log(given.b[at]) - log_total
            given.column_log[at] = potential
            given.column_scale[at] = zero if potential == -infinity else one
        given.spoiled[member] = spoiled

    merge = part(merge, of)

    def retreat(given, member):
        """Absorb the columns' scalings if a row's sum has left the range, and have the rows done again."""
        bad = 0
        for block in range(given.blocks):
            bad += given.bad[member * given.blocks + block]
        if given.state[member] != SCALED or not bad:
            return False
        for at in range(member * given.wide, member * given.wide + given.n):
            if given.column_log[at] != -infinity:
                given.column_log[at] += np.log(given.column_scale[at])
                given.column_scale[at] = one
        given.state[member] = AGAIN
        return True

    retreat = part(retreat, of)

    def advance(given, member):
        """Prepare the next turn; whether there is none."""
        turn, state, kind = given.turn, given.state, 2 * member
        step, done = kind + 1, turn[kind]
        if done == FINISH:
            return True
        if done == COLUMNS:
            merge(given, member)
            turn[kind] = ROWS
        elif done == MAKE or not retreat(given, member):
            turn[step] += done == ROWS
            if turn[step] < given.steps:
                settle(given, member)
            else:
                state[member] = DONE
            turn[kind] = FINISH if state[member] == DONE else COLUMNS if state[member] == LOGS else ROWS
        return False

    return Steps(work, part(advance, of))
