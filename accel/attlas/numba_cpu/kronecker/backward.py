"""Gradients of attention to tuples, with the weights computed again from the row statistics; never the cube.

Two passes, as in `gradient`:

- over blocks of queries (lanes are queries), in two sweeps over the gathered tuples: the statistics, and then
  ds = w (G - mean) and grad_query = Σ_J ds (the key of J);
- over blocks of tuples (lanes are tuples, rows queries): Σ_i ds q_i and Σ_i w g_i, the gradients by the key and by the
  value of each tuple, which the product rule hands on to its p members at once: (d + e) multiplications for each tuple
  and member, against m (d + e) multiply-adds before.

The second pass is cut along the first member, into pieces by the shape alone. Each piece adds into gradients of its
own for the other members, which are summed in order at the end: nothing is shared, and every sum has a fixed order.

Bound by: multiply-adds, m n_1 ⋯ n_p (5 d + 4 e) in all. Memory: blocks, and a few times the gradients of all
members but the first. Differs from the reference by rounding.
"""

from typing import Any, NamedTuple

import numpy as np

from ..blocks import fill, hide, pack
from ..compile import kernel, part
from ..gradient import build_lane_slopes, build_mean, build_row_slopes, weight_slopes
from ..pointers import Operands, moved, places_at
from ..real import Real
from ..tile import build_parts, dot, scaled_score, softmax
from .forward import OWN, build_blocks
from .tuples import CROSS, build_gather, member_of


class TupleGradientKernels(NamedTuple):
    """Both passes in one precision; the results end as those of `TupleKernels`.

    The gradients of queries and keys still lack the scale.
    """

    over_queries: Any
    """Results: shift, inverse and mean (batch, m), gradient (batch, m, d)."""
    over_tuples: Any
    """Results: shift, inverse and mean as the first pass left them; the address of a table with the addresses of the
    gradients of all keys, then of all values, zero before: (batch, pieces, n_r, d or e), the first with one piece;
    the number of pieces."""


def build_tuple_gradients(real: Real) -> TupleGradientKernels:
    """Gradients of `build_tuples`, with the same parameters."""
    return TupleGradientKernels(
        kernel(_build_over_queries(real), f"tuples-gradient-queries-{real.dtype}"),
        kernel(_build_over_tuples(real), f"tuples-gradient-tuples-{real.dtype}"),
    )


def _build_over_queries(real: Real) -> Any:
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    begin, _, add_rows = build_parts(real, scaled_score)
    advance, add_mean, slopes = softmax(real).step, build_mean(real), build_lane_slopes(real)
    open_tuples, restart, gather = build_gather(real)
    block_of, scores = build_blocks(real)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def over_queries(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        shift, inverse, mean, grad = reals(results[0]), reals(results[1]), reals(results[2]), reals(results[3])
        members, count, form = places_at(results[4]), results[5], results[6]
        size, gradient = operands.size, operands.gradient
        tuples = open_tuples(scratch_table, OWN, size.keys)
        block = block_of(operands, tuples)
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            at = gradient.places[member] + first * gradient.row
            pack(scratch.packed_gradient, gradient, at, used, lanes, size.e, zero)
            fill(scratch.grads, size.d * lanes, zero)
            fill(scratch.maximum, lanes, -infinity)
            fill(scratch.shift, lanes, zero)
            fill(scratch.total, lanes, zero)
            fill(scratch.mean, lanes, zero)
            for sweep in range(2):
                restart(members, count, tuples, first, used, 0, size.n)
                while True:
                    rows = gather(
                        members, count, tuples, member, operands.parameters, size.d, size.e, first, used, size.keys,
                        form,
                    )  # fmt: skip
                    if rows == 0:
                        break
                    hidden = scores(block, scratch, tuples, member, first, used, lanes, rows)
                    if hidden < 0:
                        continue
                    weight_slopes(block, scratch, 0, lanes, 0, rows)
                    if sweep == 0:
                        for lane in range(lanes):
                            scratch.before[lane] = scratch.total[lane]
                        advance(block, scratch, lanes, rows, hidden)
                        if hidden:
                            hide(scratch.slopes, scratch.visible, rows * lanes, zero)
                        add_mean(scratch, lanes, rows)
                        continue
                    slopes(scratch, lanes, rows, hidden)
                    add_rows(
                        block, scratch, scratch.grads, scratch.slopes, block.key, size.d, 0, lanes, 0, rows, hidden
                    )
                if sweep == 0:
                    for lane in range(lanes):
                        scratch.total[lane] = one / (one if scratch.total[lane] == zero else scratch.total[lane])
                        scratch.rescale[lane] = one
            for lane in range(used):
                target = member * size.m + first + lane
                shift[target] = scratch.shift[lane]
                inverse[target] = scratch.total[lane]
                mean[target] = scratch.mean[lane]
                for column in range(size.d):
                    grad[target * size.d + column] = scratch.grads[column * lanes + lane]

    return over_queries


def _see_rows(visible, mask, at, step, tuples, row, rows, used, lanes):
    """As `see_lanes` where the lanes are tuples and the rows queries; a padded lane is visible."""
    some = step
    for lane in range(used):
        some |= (tuples.low[lane] > row) | (tuples.high[lane] < row + rows)
    if not some:
        return 0
    hidden = 0
    for r in range(rows):
        start, query = r * lanes, row + r
        for lane in range(used):
            visible[start + lane] = (query >= tuples.low[lane]) & (query < tuples.high[lane])
        if step:
            for lane in range(used):
                if visible[start + lane]:
                    visible[start + lane] = mask.memory[at + tuples.start[lane] + query * mask.row]
        for lane in range(used, lanes):
            visible[start + lane] = 1
        for lane in range(used):
            hidden += visible[start + lane] == 0
    return hidden


see_rows: Any = part(_see_rows)


def _build_hand_on(real: Real) -> Any:
    """Make hand_on(...): the gradients of a block of tuples, by the product rule to those of their members."""
    zero, one = real.number(0), real.number(1)
    member_at, reals = member_of(real), real.pointer

    def others(product, members, count, left_out, batch_member, place, width, values, parameters):
        """The product over all members but one of their keys or values."""
        fill(product, width, one)
        for s in range(count):
            if s != left_out:
                other = member_at(members, s)
                matrix = other.value if values else other.key
                bias = (parameters[2] if values else parameters[1]) if other.biased else zero
                at = matrix.places[batch_member] + place // other.stride % other.rows * matrix.row
                for column in range(width):
                    product[column] *= matrix.memory[at + column * matrix.column] + bias

    others = part(others, of=str(real.dtype))

    def hand_on(
        grads, addresses, members, count, tuples, seen, batch_member, piece, pieces, width, used, lanes, values,
        form, parameters, free,
    ):  # fmt: skip
        product = moved(tuples.outer, free)
        for lane in range(used):
            if seen[lane] == zero:
                continue
            place = tuples.place[lane]
            for r in range(count):
                own = member_at(members, r)
                grad = reals(addresses[r + count if values else r])
                which = batch_member if r == 0 else batch_member * pieces + piece
                target = (which * own.rows + place // own.stride % own.rows) * width
                others(product, members, count, r, batch_member, place, width, values, parameters)
                if form == CROSS and not values:
                    # g · (a × b) has the slopes b × g by a and g × a by b.
                    sign = one if r == 0 else -one
                    for column in range(0, width, 3):
                        at = column * lanes + lane
                        g0, g1, g2 = grads[at], grads[at + lanes], grads[at + 2 * lanes]
                        b0, b1, b2 = product[column], product[column + 1], product[column + 2]
                        grad[target + column] += sign * (b1 * g2 - b2 * g1)
                        grad[target + column + 1] += sign * (b2 * g0 - b0 * g2)
                        grad[target + column + 2] += sign * (b0 * g1 - b1 * g0)
                else:
                    for column in range(width):
                        grad[target + column] += grads[column * lanes + lane] * product[column]

    return part(hand_on, of=str(real.dtype))


def _build_over_tuples(real: Real) -> Any:
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    add_rows, slopes, hand_on = build_parts(real, scaled_score).add_rows, build_row_slopes(real), _build_hand_on(real)
    open_tuples, restart, gather = build_gather(real)
    block_of, member_at = build_blocks(real).block_of, member_of(real)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def note_seen(seen, scratch, used, lanes, rows, hidden):
        for lane in range(used):
            if hidden == 0:
                seen[lane] = one
            for row in range(rows if hidden else 0):
                if scratch.visible[row * lanes + lane]:
                    seen[lane] = one

    note_seen = part(note_seen, of=str(real.dtype))

    def over_tuples(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        shift, inverse, mean = reals(results[0]), reals(results[1]), reals(results[2])
        addresses, pieces = places_at(results[3]), results[4]
        members, count, form = places_at(results[5]), results[6], results[7]
        size, query, gradient, mask = operands.size, operands.query, operands.gradient, operands.mask
        parameters, scale = operands.parameters, operands.parameters[0]
        tuples = open_tuples(scratch_table, OWN, size.queries)
        block = block_of(operands, tuples)
        # Seen from the tuples, queries are keys and the gradients of the output values.
        mirror = Operands(
            block.key, query, gradient, block.value, operands.bias, operands.extra, mask, parameters, size
        )
        extent = member_at(members, 0).rows
        seen = scratch.lane_squares
        for task in range(start, stop):
            member, piece = task // pieces, task % pieces
            restart(members, count, tuples, 0, size.m, piece * extent // pieces, (piece + 1) * extent // pieces)
            while True:
                used = gather(members, count, tuples, member, parameters, size.d, size.e, 0, size.m, size.queries, form)
                if used == 0:
                    break
                lanes = (used + size.width - 1) // size.width * size.width
                pack(scratch.packed, mirror.query, 0, used, lanes, size.d, zero)
                pack(scratch.packed_gradient, mirror.gradient, 0, used, lanes, size.e, zero)
                fill(scratch.grads, size.d * lanes, zero)
                fill(scratch.sums, size.e * lanes, zero)
                fill(scratch.rescale, lanes, one)
                fill(seen, lanes, zero)
                begin, end = size.m, 0
                for lane in range(used):
                    begin, end = min(begin, tuples.low[lane]), max(end, tuples.high[lane])
                for row in range(begin, end, size.keys):
                    rows = min(size.keys, end - row)
                    at = mask.places[member]
                    hidden = see_rows(scratch.visible, mask, at, size.has_mask, tuples, row, rows, used, lanes)
                    if hidden == rows * used:
                        continue
                    note_seen(seen, scratch, used, lanes, rows, hidden)
                    dot(mirror, scratch, member, row, rows, lanes)
                    for i in range(rows * lanes):
                        scratch.scores[i] *= scale
                    if hidden:
                        hide(scratch.scores, scratch.visible, rows * lanes, -infinity)
                    weight_slopes(mirror, scratch, member, lanes, row, rows)
                    slopes(scratch, shift, inverse, mean, member * size.m + row, lanes, rows, hidden)
                    add_rows(
                        mirror, scratch, scratch.grads, scratch.slopes, query, size.d, member, lanes, row, rows, hidden
                    )
                    add_rows(
                        mirror, scratch, scratch.sums, scratch.scores, gradient, size.e, member, lanes, row, rows,
                        hidden,
                    )  # fmt: skip
                hand_on(
                    scratch.grads, addresses, members, count, tuples, seen, member, piece, pieces, size.d, used, lanes,
                    0, form, parameters, size.d + size.e,
                )  # fmt: skip
                hand_on(
                    scratch.sums, addresses, members, count, tuples, seen, member, piece, pieces, size.e, used, lanes,
                    1, form, parameters, size.d + size.e,
                )  # fmt: skip

    return over_tuples
