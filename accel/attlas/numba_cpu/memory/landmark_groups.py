"""What the passes of landmark attention share: who is in a query's group, and the softmax within a closed block.

A query's group is its own block so far and the landmarks of earlier blocks, its *doors*. The scores of the doors are
computed first, from the landmarks' keys side by side, and kept: (landmarks, lanes) numbers a thread, all that is kept
besides a tile. With the own block they give the maximum and total of the group, so that the share of each door is known
before its block is looked at, and a block that nobody reads is skipped.

A block that fits a tile is computed once: its scores become weights, and the weights shares, in place. A longer one is
swept several times, the scores computed again each time.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..blocks import fill
from ..compile import part
from ..pointers import Scratch
from ..real import Real
from ..tile import dot, softmax
from ..vector import multiply

RUN = 64
"""Doors that are summed before they are added to the total: rounding grows with the runs, not with the doors."""


class Groups(NamedTuple):
    """How the tokens are cut, as a kernel sees it."""

    landmarks: Any
    """(number,): where they stand."""
    block: Any
    """(n,): the block of each token, which is the number of landmarks before it."""
    number: int
    n: int


class Lanes(NamedTuple):
    """What a formulation keeps per lane besides `Scratch`; a lane is a query."""

    doors: Any
    """(landmarks, lanes): their scores."""
    column: Any
    """(landmarks,): the scores of one lane, to choose among."""
    reads: Any
    """(lanes,): 1 where the lane reads the block at hand, else 0; like the two that follow."""
    factor: Any
    """The share of the block over the total of its weights."""
    inverse: Any
    """1 over the total of the group's weights."""


OWN = len(Scratch._fields)
"""Where `Lanes` begins in the table of scratch."""


class GroupParts(NamedTuple):
    """The parts of one precision."""

    settle: Any
    """settle(operands, scratch, lanes_of, groups, member, first, used, lanes, top_k): fill doors, scratch.shift and
    inverse; returns how many blocks are closed."""
    own_tile: Any
    """own_tile(operands, scratch, groups, member, first, lanes, row, rows): scores of a tile, and who sees them as a
    token of the own block; hidden pairs at -inf."""
    open_block: Any
    """open_block(operands, inner, scratch, lanes_of, groups, door, member, first, used, lanes, index): fill reads,
    factor and the block's own maximum and total (of `inner`); returns how many lanes in use do not read it, or -1 if
    none does or there is nothing in it. The weights of a block in one tile are left in scratch.scores."""
    weights_again: Any
    """weights_again(operands, inner, scratch, member, lanes, row, rows): the weights of a tile of a longer block."""


def _begins(groups, index):
    """The first token of a block."""
    return groups.landmarks[index - 1] + 1 if index > 0 else 0


def _ends(groups, index):
    """The token after a block's last regular one: its landmark, or the end."""
    return groups.landmarks[index] if index < groups.number else groups.n


def _inner_scratch(scratch):
    """The scratch of the softmax within a block: a maximum, total and shift of its own."""
    return Scratch(
        scratch.packed, scratch.scores, scratch.bias, scratch.sums, scratch.packed_gradient, scratch.slopes,
        scratch.grads, scratch.before, scratch.mean, scratch.before, scratch.mean, scratch.estimate,
        scratch.lane_squares, scratch.rescale, scratch.line, scratch.lane_squares, scratch.row_squares,
        scratch.visible,
    )  # fmt: skip


begins: Any = part(_begins, inline=True)
ends: Any = part(_ends, inline=True)
inner_scratch: Any = part(_inner_scratch, inline=True)


@cache
def opener_of_lanes(real: Real) -> Any:
    """Make open_lanes(scratch_table)."""
    reals = real.pointer

    def open_lanes(table):
        return Lanes(
            reals(table[OWN]), reals(table[OWN + 1]), reals(table[OWN + 2]), reals(table[OWN + 3]),
            reals(table[OWN + 4]),
        )  # fmt: skip

    return part(open_lanes, of=str(real.dtype))


@cache
def group_parts(real: Real) -> GroupParts:
    """Return the parts for float32 or float64."""
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    exp, advance = real.exp, softmax(real).step
    of = str(real.dtype)

    def larger(a, b):
        return a if (a > b) | (a != a) else b  # a NaN of either stays

    def scaled(tile, count, scale):
        for i in range(count):
            tile[i] *= scale

    def nth(numbers, count, rank):
        """The number that `rank` others are not below, of `count` that are no NaN; they are moved about."""
        low, high = 0, count - 1
        while low < high:
            pivot, left, right = numbers[(low + high) // 2], low, high
            while left <= right:
                while numbers[left] > pivot:
                    left += 1
                while numbers[right] < pivot:
                    right -= 1
                if left <= right:
                    numbers[left], numbers[right] = numbers[right], numbers[left]
                    left += 1
                    right -= 1
            if rank <= right:
                high = right
            elif rank >= left:
                low = left
            else:
                break
        return numbers[rank]

    larger, scaled, nth = part(larger, of, inline=True), part(scaled, of), part(nth, of)

    def choose(threshold, doors, column, groups, first, used, lanes, top_k):
        """The score that a door of each lane must reach: its top_k-th largest, NaN counting as the largest."""
        fill(threshold, lanes, -infinity)
        for lane in range(used):
            behind = groups.block[first + lane]
            if (top_k < 0) | (behind <= top_k):
                continue
            count = 0
            for c in range(behind):
                score = doors[c * lanes + lane]
                if score == score:
                    column[count] = score
                    count += 1
            # With as many NaNs as are wanted all are kept, as by the reference: nothing is below NaN.
            if behind - count < top_k:
                threshold[lane] = nth(column, count, top_k - (behind - count) - 1)

    def read_by(groups, index, first, lane, score, threshold):
        """Whether a lane reads a closed block."""
        return (first + lane > groups.landmarks[index]) & ((score < threshold) == 0)

    def own_tile(operands, scratch, groups, member, first, lanes, row, rows):
        tile, visible = scratch.scores, scratch.visible
        dot(operands, scratch, member, row, rows, lanes)
        scaled(tile, rows * lanes, operands.parameters[0])
        for r in range(rows):
            start, token = r * lanes, row + r
            last = ends(groups, groups.block[token])
            # Tokens see it from itself on to the landmark; a landmark nobody sees as a token.
            low, high = (lanes, lanes) if token == last else (token - first, last - first)
            for lane in range(lanes):
                visible[start + lane] = (lane >= low) & (lane <= high)
            for lane in range(lanes):
                tile[start + lane] = tile[start + lane] if visible[start + lane] else -infinity

    choose, read_by, own_tile = part(choose, of), part(read_by, of, inline=True), part(own_tile, of)

    def admit(scratch, doors, groups, closed, first, lanes):
        """Add the doors to the maximum and total of the own block."""
        maximum, total, line, threshold = scratch.maximum, scratch.total, scratch.line, scratch.estimate
        shift, run = scratch.shift, scratch.before
        for lane in range(lanes):
            line[lane] = maximum[lane]
        for c in range(closed):
            for lane in range(lanes):
                score = doors[c * lanes + lane]
                seen = read_by(groups, c, first, lane, score, threshold[lane])
                line[lane] = larger(line[lane], score if seen else -infinity)
        for lane in range(lanes):
            shift[lane] = zero if line[lane] == -infinity else line[lane]
            total[lane] *= exp(maximum[lane] - shift[lane])
            maximum[lane] = line[lane]
        for corner in range(0, closed, RUN):
            fill(run, lanes, zero)
            for c in range(corner, min(closed, corner + RUN)):
                for lane in range(lanes):
                    score = doors[c * lanes + lane]
                    seen = read_by(groups, c, first, lane, score, threshold[lane])
                    run[lane] += exp(score - shift[lane]) if seen else zero
            for lane in range(lanes):
                total[lane] += run[lane]

    admit = part(admit, of)

    def settle(operands, scratch, own, groups, member, first, used, lanes, top_k):
        size, extra = operands.size, operands.extra
        # Without anything kept there are no doors.
        closed = 0 if top_k == 0 else groups.block[first + used - 1]
        multiply(
            own.doors, scratch.packed, extra, extra.places[member], extra.row, extra.column, closed, size.d, lanes,
            size.width, scratch.rescale,
        )  # fmt: skip
        scaled(own.doors, closed * lanes, operands.parameters[0])
        choose(scratch.estimate, own.doors, own.column, groups, first, used, lanes, top_k)
        fill(scratch.maximum, lanes, -infinity)
        fill(scratch.total, lanes, zero)
        for row in range(begins(groups, groups.block[first]), first + used, size.keys):
            rows = min(size.keys, first + used - row)
            own_tile(operands, scratch, groups, member, first, lanes, row, rows)
            advance(operands, scratch, lanes, rows, 1)
        admit(scratch, own.doors, groups, closed, first, lanes)
        for lane in range(lanes):
            own.inverse[lane] = one / (one if scratch.total[lane] == zero else scratch.total[lane])
        return closed

    def open_block(operands, inner, scratch, own, groups, door, member, first, used, lanes, index):
        size, reads = operands.size, own.reads
        start, end = begins(groups, index), ends(groups, index)
        readers = 0
        for lane in range(lanes):
            seen = read_by(groups, index, first, lane, door[lane], scratch.estimate[lane])
            reads[lane] = one if seen else zero
            readers += seen & (lane < used)
        if (readers == 0) | (start == end):
            return -1
        fill(inner.maximum, lanes, -infinity)
        fill(inner.total, lanes, zero)
        for row in range(start, end, size.keys):
            rows = min(size.keys, end - row)
            dot(operands, scratch, member, row, rows, lanes)
            scaled(scratch.scores, rows * lanes, operands.parameters[0])
            advance(operands, inner, lanes, rows, 0)
        for lane in range(lanes):
            whole = one if inner.total[lane] == zero else inner.total[lane]
            own.factor[lane] = exp(door[lane] - scratch.shift[lane]) / whole
        fill(scratch.rescale, lanes, one)
        return used - readers

    def weights_again(operands, inner, scratch, member, lanes, row, rows):
        dot(operands, scratch, member, row, rows, lanes)
        scaled(scratch.scores, rows * lanes, operands.parameters[0])
        for r in range(rows):
            for lane in range(lanes):
                at = r * lanes + lane
                scratch.scores[at] = exp(scratch.scores[at] - inner.shift[lane])

    return GroupParts(part(settle, of), own_tile, part(open_block, of), part(weights_again, of))
