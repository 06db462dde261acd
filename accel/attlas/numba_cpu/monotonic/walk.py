"""The recursion of a pointer that only moves forward, as many rows at a time as a vector has lanes.

q_j = (1 - p_(j-1)) q_(j-1) + α_j depends on the entry before, so a loop over one row waits for a multiply-add at every
step. But entry j of a row needs only the entries up to j of the row above: the rows of a vector advance together, each
one key behind the one above, and hand what they find down to the next lane. Keys become lanes, and lanes keys again, by
turning squares in registers (`turning`); squares of rows that are one key behind each other are squares of memory whose
rows are a number closer.

Far from the pointer the chances fade geometrically, until they are no normal numbers, with which a processor takes some
150 cycles for one product. A chance to arrive below `least` counts as 0.

Bound by: for as many pairs as a vector has lanes, one chain of a multiply-add, a choice, a product and a move between
lanes, some 15 cycles, and two times log2(lanes) shuffles beside it.
"""

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..blocks import fill
from ..compile import part
from ..pointers import moved
from ..real import Real
from ..turning import turned
from ..vector import INT, lanes_of

FEW = 2
"""Rows that are walked one by one: a row takes half as long as a vector of them."""


def together(dtype: np.dtype[Any]) -> int:
    """How many rows advance together."""
    return lanes_of(dtype)


def room_of_rows(n: int, dtype: np.dtype[Any]) -> int:
    """How many numbers the rows that advance together take, with what stands before and behind them."""
    return together(dtype) * pitch(n, together(dtype))


def room_of_line(n: int, dtype: np.dtype[Any]) -> int:
    """How many numbers a line takes, with what stands before and behind it."""
    return pitch(n, together(dtype))


def pitch(n: int, lanes: int) -> int:
    """How far apart rows are: a vector stands before the first key, and two behind the last."""
    return n + 3 * lanes


def _march(arrivals: bool) -> Any:
    """Make march(alpha, rows, apart, given, step, out, n, squares, inside, end, least), over so many squares.

    `alpha` is what arrives at the first row, and becomes what goes on from the last one. Squares are read from rows and
    written there, so far apart; but those from `inside` to `end` are read from `given`, whose rows are `step` apart,
    and written to `out`, where they are n apart.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        alpha, memory, apart, given, step, out, n, squares, inside, end, least = arguments
        scalar = context.get_data_type(signature.args[0].dtype)
        size = signature.args[0].dtype.bitwidth // 8
        lanes = lanes_of(np.dtype(str(signature.args[0].dtype)))
        vector, kind = ir.VectorType(scalar, lanes), ir.VectorType(ir.IntType(32), lanes)
        zero, one, free = (
            ir.Constant(vector, None), ir.Constant(vector, [1.0] * lanes), ir.Constant(vector, ir.Undefined)
        )  # fmt: skip
        first, last = ir.Constant(ir.IntType(32), 0), ir.Constant(ir.IntType(32), lanes - 1)
        lowest = builder.shuffle_vector(builder.insert_element(free, least, first), free, ir.Constant(kind, None))
        down = ir.Constant(kind, [lanes, *range(lanes - 1)])

        def rows_at(array: Any, distance: Any, key: Any) -> list[Any]:
            """Where the rows of a square begin: each is one key behind the one above."""
            closer = builder.sub(distance, ir.Constant(INT, 1))
            places = [builder.add(key, builder.mul(closer, ir.Constant(INT, row))) for row in range(lanes)]
            return [builder.bitcast(builder.gep(array, [place]), vector.as_pointer()) for place in places]

        before = builder.block
        body = builder.append_basic_block("march.square")
        after = builder.append_basic_block("march.end")
        builder.cbranch(builder.icmp_signed(">", squares, ir.Constant(INT, 0)), body, after)
        builder.position_at_end(body)
        square, *state = builder.phi(INT), *(builder.phi(vector) for _ in range(3))
        key = builder.mul(square, ir.Constant(INT, lanes))
        within = builder.and_(builder.icmp_signed(">=", square, inside), builder.icmp_signed("<", square, end))
        source = rows_at(builder.select(within, given, memory), builder.select(within, step, apart), key)
        columns = turned(builder, [builder.load(row, align=size) for row in source])
        arriving, keep, found = state
        shown = []
        for place, chance in enumerate(columns):
            above = builder.load(builder.gep(alpha, [builder.add(key, ir.Constant(INT, place))]))
            above = builder.shuffle_vector(found, builder.insert_element(free, above, first), down)
            kept = builder.fmul(keep, arriving, flags=("contract",))
            arriving = builder.fadd(kept, above, flags=("contract",))
            # Asked beside the product, so that the chain is shorter.
            low = builder.fcmp_ordered("<", arriving, lowest)
            found = builder.select(low, zero, builder.fmul(chance, arriving))
            arriving = builder.select(low, zero, arriving)
            keep = builder.fsub(one, chance)
            shown.append(arriving if arrivals else found)
            behind = builder.add(key, ir.Constant(INT, place - (lanes - 1)))
            builder.store(builder.extract_element(found, last), builder.gep(alpha, [behind]))
        target = rows_at(builder.select(within, out, memory), builder.select(within, n, apart), key)
        for row, line in zip(target, turned(builder, shown), strict=True):
            builder.store(line, row, align=size)
        following = builder.add(square, ir.Constant(INT, 1))
        for phi, first_time, next_time in zip(
            (square, *state), (ir.Constant(INT, 0), zero, zero, zero), (following, arriving, keep, found), strict=True
        ):
            phi.add_incoming(first_time, before)
            phi.add_incoming(next_time, body)
        builder.cbranch(builder.icmp_signed("<", following, squares), body, after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    @intrinsic
    def march(
        typing: Any,
        alpha: Any,
        memory: Any,
        apart: Any,
        given: Any,
        step: Any,
        out: Any,
        n: Any,
        squares: Any,
        inside: Any,
        end: Any,
        least: Any,
    ) -> Any:
        i = types.int64
        return types.void(alpha, memory, i, given, i, out, i, i, i, i, alpha.dtype), generate

    return march


@cache
def walk_of(real: Real, arrivals: bool) -> Any:
    """Make walk(alpha, rows, count, given, step, out, n, least): take some rows, and bring alpha (n) up to date.

    There are at most `together` rows, of neighboring numbers, so far apart in `given`. `rows` is scratch, and so is
    what lies before and behind alpha. `out` is (count, n). With `arrivals` what is left in `out` are the probabilities
    q to arrive, else α = p q. `least` is 0 or positive.
    """
    zero, one = real.number(0), real.number(1)
    of, lanes, march = f"{real.dtype}, {arrivals}", together(real.dtype), _march(arrivals)

    def run(alpha, p, out, n, least):
        """Walk along one row."""
        arriving, keep = zero, zero
        for j in range(n):
            arriving = keep * arriving + alpha[j]
            arriving = zero if arriving < least else arriving  # a NaN is kept
            chance = p[j]
            alpha[j] = chance * arriving
            out[j] = arriving if arrivals else alpha[j]
            keep = one - chance

    def copy(out, row, start, stop):
        for j in range(start, stop):
            out[j] = row[j]

    run, copy, apart_of = part(run, of), part(copy, of), part(pitch, of)

    def walk(alpha, rows, count, given, step, out, n, least):
        if count <= FEW:
            for row in range(count):
                run(alpha, moved(given, row * step), moved(out, row * n), n, least)
            return
        apart = apart_of(n, lanes)
        # Squares whose rows are all there, from their first to their last key.
        inside, end = 1, n // lanes if count == lanes else 1
        for row in range(lanes):
            start = moved(rows, row * apart)
            p, there = moved(given, row * step), n if row < count else 0
            fill(start, lanes, zero)
            copy(moved(start, lanes), p, 0, min(there, lanes - row if inside < end else n))
            copy(moved(start, lanes), p, max(0, end * lanes - row) if inside < end else there, there)
            fill(moved(start, lanes + there), apart - lanes - there, zero)
        squares = (n + 2 * lanes - 2) // lanes
        march(alpha, moved(rows, lanes), apart, given, step, out, n, squares, inside, end, least)
        for row in range(count):
            found, start = moved(out, row * n), moved(rows, row * apart + lanes)
            copy(found, start, 0, min(n, lanes - row if inside < end else n))
            copy(found, start, max(0, end * lanes - row) if inside < end else n, n)

    return part(walk, of)
