"""Attention to tuples: the softmax template over gathered rows.

Bound by: multiply-adds, m n_1 ⋯ n_p (d + e) of them near the processor's peak, and as many exponentials as there are
pairs of a query and a tuple. Memory: one block of queries, one of tuples and their weights, O(block (d + e + block))
per thread; the cube of weights exists only if it is asked for. With windows the blocks of queries are half a window
long, so that a tuple that is gathered is seen by a good part of them.
Work is split into tasks (batch member, block of queries, piece of the first member); all of them are cut by the shapes
of one batch member alone, so neither the number of threads nor the rest of the batch changes a bit. Pieces are only for
few queries, and the host merges what they leave.
Differs from the reference by rounding.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..blocks import fill, hide, unpack
from ..compile import kernel, part
from ..pointers import Matrix, Operands, moved, places_at
from ..real import Real
from ..tile import build_parts, dot, scaled_score, softmax
from .tuples import NOTHING, build_gather, member_of

OWN = 18
"""Where a kernel's own scratch begins in its table: after the fields of `Scratch`."""


class TupleKernels(NamedTuple):
    """What is compiled in one precision; each is kernel(start, stop, operands, scratch, results) as in `tile`.

    The keys of the operands are those of nobody: keys and values are gathered. Parameters (scale, bias of keys, bias of
    values). The results end with the address of the table of members, their number, and the form of the keys.
    """

    forward: Any
    """Results: output (pieces, batch, m, e), maximum and total (pieces, batch, m); then the number of pieces into which
    the first member is cut, and that of batch members. The output is divided by the total if there is one piece."""
    weights: Any
    """Results: maximum and total as `forward` left them, weights (batch, m, tuples), zero before."""


def _see_lanes(visible, mask, at, step, tuples, rows, used, lanes):
    """Note which lanes see which gathered tuple, and return how many pairs of the tile are hidden.

    The mask is that of the block's first query from `at` on; its memory is not read where `step` tells that there is
    none. A padded lane is visible.
    """
    some = step
    for row in range(rows):
        some |= (tuples.low[row] > 0) | (tuples.high[row] < used)
    if not some:
        return 0
    hidden = 0
    for row in range(rows):
        low, high, start = tuples.low[row], tuples.high[row], row * lanes
        for lane in range(used):
            visible[start + lane] = (lane >= low) & (lane < high)
        if step:
            corner = at + tuples.start[row]
            for lane in range(used):
                if visible[start + lane]:
                    visible[start + lane] = mask.memory[corner + lane * mask.row]
        for lane in range(used, lanes):
            visible[start + lane] = 1
        for lane in range(used):
            hidden += visible[start + lane] == 0
    return hidden


see_lanes: Any = part(_see_lanes)


class Blocks(NamedTuple):
    """What the passes over queries share."""

    block_of: Any
    """block_of(operands, tuples): the operands with the gathered rows for keys and values."""
    scores: Any
    """scores(operands, scratch, tuples, member, first, used, lanes, rows): the scores of a gathered tile, hidden pairs
    at -inf; returns how many are hidden, or -1 if all are and nothing was computed."""


@cache
def build_blocks(real: Real) -> Blocks:
    """Return the parts for float32 or float64."""
    infinity = real.number(np.inf)
    of = str(real.dtype)

    def block_of(operands, tuples):
        size = operands.size
        first = moved(tuples.state, NOTHING)  # the place of batch member 0, the only one
        return Operands(
            operands.query, Matrix(tuples.keys, first, size.d, 1), Matrix(tuples.values, first, size.e, 1),
            operands.gradient, operands.bias, operands.extra, operands.mask, operands.parameters, size,
        )  # fmt: skip

    def scores(block, scratch, tuples, member, first, used, lanes, rows):
        size, mask, scale = block.size, block.mask, block.parameters[0]
        at = mask.places[member] + first * mask.row
        hidden = see_lanes(scratch.visible, mask, at, size.has_mask, tuples, rows, used, lanes)
        if hidden == rows * used:
            return -1
        dot(block, scratch, 0, 0, rows, lanes)
        for i in range(rows * lanes):
            scratch.scores[i] *= scale
        if hidden:
            hide(scratch.scores, scratch.visible, rows * lanes, -infinity)
        return hidden

    return Blocks(part(block_of, of), part(scores, of))


def build_tuples(real: Real) -> TupleKernels:
    """Softmax over all tuples that a query sees."""
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    begin, _, add_rows = build_parts(real, scaled_score)
    advance, exp, half = softmax(real).step, real.exp, real.number(0.5)
    open_tuples, restart, gather = build_gather(real)
    (block_of, scores), member_at = build_blocks(real), member_of(real)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def forward(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        output, maximum, total = reals(results[0]), reals(results[1]), reals(results[2])
        pieces, batch = results[3], results[4]
        members, count, form = places_at(results[5]), results[6], results[7]
        size, extent = operands.size, member_at(members, 0).rows
        tuples = open_tuples(scratch_table, OWN, size.keys)
        block = block_of(operands, tuples)
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            piece = task % pieces
            member, first, used, lanes = begin(operands, scratch, task // pieces, blocks)
            fill(scratch.sums, size.e * lanes, zero)
            fill(scratch.maximum, lanes, -infinity)
            fill(scratch.total, lanes, zero)
            restart(members, count, tuples, first, used, piece * extent // pieces, (piece + 1) * extent // pieces)
            while True:
                rows = gather(
                    members, count, tuples, member, operands.parameters, size.d, size.e, first, used, size.keys, form
                )
                if rows == 0:
                    break
                hidden = scores(block, scratch, tuples, member, first, used, lanes, rows)
                if hidden >= 0:
                    advance(block, scratch, lanes, rows, hidden)
                    add_rows(
                        block, scratch, scratch.sums, scratch.scores, block.value, size.e, 0, lanes, 0, rows, hidden
                    )
            target = (piece * batch + member) * size.m + first
            for lane in range(used):
                maximum[target + lane] = scratch.maximum[lane]
                total[target + lane] = scratch.total[lane]
            if pieces == 1:
                divisor = scratch.line
                for lane in range(lanes):
                    divisor[lane] = scratch.total[lane] if scratch.total[lane] != zero else one
                for column in range(size.e):
                    for lane in range(lanes):
                        scratch.sums[column * lanes + lane] /= divisor[lane]
            unpack(output, target * size.e, scratch.sums, used, lanes, size.e)

    def weigh(distance):
        """exp(distance), also where that is smaller than the smallest normal number: a slice of the cube may hold
        nothing else."""
        root, weight = exp(distance * half), exp(distance)
        return root * root if weight == zero else weight

    weigh = part(weigh, of=f"tuples, {real.dtype}")

    def weights(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        maximum, total, result = reals(results[0]), reals(results[1]), reals(results[2])
        members, count, form = places_at(results[3]), results[4], results[5]
        size = operands.size
        tuples = open_tuples(scratch_table, OWN, size.keys)
        block = block_of(operands, tuples)
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            restart(members, count, tuples, first, used, 0, size.n)
            while True:
                rows = gather(
                    members, count, tuples, member, operands.parameters, size.d, 0, first, used, size.keys, form
                )
                if rows == 0:
                    break
                hidden = scores(block, scratch, tuples, member, first, used, lanes, rows)
                if hidden < 0:
                    continue
                for lane in range(used):
                    query = member * size.m + first + lane
                    shift = zero if maximum[query] == -infinity else maximum[query]
                    divisor = total[query] if total[query] != zero else one
                    for row in range(rows):
                        at = row * lanes + lane
                        if hidden == 0 or scratch.visible[at]:
                            number = weigh(scratch.scores[at] - shift) / divisor
                            result[query * size.n + tuples.place[row]] = number

    return TupleKernels(
        kernel(forward, f"tuples-forward-{real.dtype}"), kernel(weights, f"tuples-weights-{real.dtype}")
    )
