"""The best labeling of chains of few labels, side by side in lanes.

A step keeps all its labels in registers, so it is written as LLVM instructions, once for each number of labels.

Bound by: n c² additions, two comparisons and two choices each, beside the squares that bring the tables in.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..compile import kernel, part
from ..launch import opener
from ..pointers import bytes_at, moved, places_at
from ..real import Real
from ..vector import HOST, INT
from .chain_lanes import chain_lanes
from .sums import sums_of


@intrinsic
def advance(
    typing: Any, best: Any, table: Any, unary: Any, pointers: Any, possible: Any, ends: Any, t: Any, c: Any
) -> Any:
    """One step: from the `best` (c, lanes) of one label to that of the next, and the `pointers` (c, lanes) back.

    `table` (c, c, lanes) and `unary` (c, lanes) are the scores. Of equals the first is chosen, and a NaN is larger than
    all numbers. The largest of the best is taken off; where it is -inf, `possible` (lanes) becomes 0. The first step,
    with t = 0, has no table. Chains that end before t stay as they are.
    """
    number = best.dtype
    size = number.bitwidth // 8
    width = HOST.bytes // size

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        best, table, unary, pointers, possible, ends, t, c = arguments
        scalar, byte = context.get_data_type(number), ir.IntType(8)
        vector, label_type = ir.VectorType(scalar, width), ir.VectorType(ir.IntType(8 * size), width)
        bytes_type, places = ir.VectorType(byte, width), ir.VectorType(INT, width)
        zero, lowest = ir.Constant(vector, None), ir.Constant(vector, [-np.inf] * width)

        def place(memory: Any, index: int, kind: Any) -> Any:
            return builder.bitcast(builder.gep(memory, [ir.Constant(INT, index * width)]), kind.as_pointer())

        def load(memory: Any, index: int) -> Any:
            return builder.load(place(memory, index, vector), align=size)

        def better(x: Any, than: Any) -> Any:
            return builder.and_(builder.fcmp_unordered("<", than, x), builder.fcmp_ordered("==", than, than))

        def step(labels: int, first: bool) -> None:
            before = [load(best, a) for a in range(labels)]
            now = []
            for b in range(labels):
                arrival, pointer = (zero if first else lowest), ir.Constant(label_type, None)
                for a in range(0 if first else labels):
                    x = builder.fadd(before[a], load(table, a * labels + b))
                    taken = better(x, arrival)
                    arrival = builder.select(taken, x, arrival)
                    pointer = builder.select(taken, ir.Constant(label_type, [a] * width), pointer)
                builder.store(builder.trunc(pointer, bytes_type), place(pointers, b, bytes_type), align=1)
                now.append(builder.fadd(load(unary, b), arrival))
            top = now[0]
            for x in now[1:]:
                top = builder.select(better(x, top), x, top)
            end = builder.load(place(ends, 0, places), align=8)
            at = builder.insert_element(ir.Constant(places, ir.Undefined), t, ir.Constant(INT, 0))
            at = builder.shuffle_vector(at, at, ir.Constant(ir.VectorType(ir.IntType(32), width), None))
            active = builder.icmp_signed(">", end, at)
            none = builder.fcmp_ordered("==", top, lowest)
            off = builder.select(none, zero, top)
            for b in range(labels):
                shifted = builder.select(active, builder.fsub(now[b], off), before[b])
                builder.store(shifted, place(best, b, vector), align=size)
            known = builder.load(place(possible, 0, bytes_type), align=1)
            lost = builder.select(builder.and_(active, none), ir.Constant(bytes_type, None), known)
            builder.store(lost, place(possible, 0, bytes_type), align=1)

        after = builder.append_basic_block("advance.end")
        first = builder.zext(builder.icmp_signed("==", t, ir.Constant(INT, 0)), INT)
        choice = builder.switch(builder.add(builder.add(c, c), first), after)
        for labels in range(1, width // 4 + 1):
            for begins in (False, True):
                block = builder.append_basic_block(f"advance.{labels}")
                choice.add_case(ir.Constant(INT, 2 * labels + begins), block)
                with builder.goto_block(block):
                    step(labels, begins)
                    builder.branch(after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    i = types.int64
    return types.void(best, table, unary, pointers, possible, ends, i, i), generate


def build_argmax_in_lanes(real: Real) -> Any:
    """Make the kernel; a task is a group of chains.

    Operands: unary, pairwise. Results: paths; lengths, n, c, the step of the tables and the number of chains. Scratch:
    `argmax_scratch`.
    """
    open_matrix, reals, lanes = opener(real), real.pointer, chain_lanes(real)
    width, of, better = lanes.width, str(real.dtype), sums_of(real).better

    def follow(paths, pointers, labels, ends, longest, used, n, c):
        """Write paths from their last labels on back to the first ones; all lanes at once, as each waits for memory."""
        for t in range(longest - 1, -1, -1):
            back = moved(pointers, t * c * width)
            for lane in range(used):
                if t < ends[lane]:
                    label = labels[lane]
                    paths[lane * n + t] = label
                    labels[lane] = int(back[label * width + lane])

    follow = part(follow, of)

    def first_best(best, c):
        found = 0
        for b in range(1, c):
            found = b if better(best[b * width], best[found * width]) else found
        return found

    first_best = part(first_best, of)

    def argmax(start, stop, operands, scratch, results):
        unary, pairwise = open_matrix(operands, 0), open_matrix(operands, 1)
        paths, lengths = places_at(results[0]), places_at(results[1])
        n, c, step, members = results[2], results[3], results[4], results[5]
        best, own, table = reals(scratch[0]), reals(scratch[1]), reals(scratch[2])
        pointers, possible, places = bytes_at(scratch[3]), bytes_at(scratch[4]), places_at(scratch[5])
        places_of_tables, ends, labels = moved(places, width), moved(places, 2 * width), moved(places, 3 * width)
        together = width // c
        for group in range(start, stop):
            first = group * width
            used = min(width, members - first)
            lanes.gather(places, unary, first, used)
            lanes.gather(places_of_tables, pairwise, first, used)
            longest = 0
            for lane in range(width):
                ends[lane] = lengths[first + min(lane, used - 1)]
                longest, possible[lane] = max(longest, ends[lane]), 1
            for t in range(longest):
                if t % together == 0:
                    rows = min(together, longest - t)
                    lanes.fetch(own, unary.memory, places, t * unary.row, unary.row, unary.column, rows, c)
                if t > 0:
                    at = (t - 1) * step
                    lanes.fetch(table, pairwise.memory, places_of_tables, at, pairwise.row, pairwise.column, c, c)
                now = moved(own, t % together * c * width)
                advance(best, table, now, moved(pointers, t * c * width), possible, ends, t, c)
            own_paths = moved(paths, first * n)
            for lane in range(used):
                ends[lane] = ends[lane] if possible[lane] else 0
                labels[lane] = first_best(moved(best, lane), c) if ends[lane] > 0 else 0
                for t in range(ends[lane], n):
                    own_paths[lane * n + t] = -1
            follow(own_paths, pointers, labels, ends, longest, used, n, c)

    return kernel(argmax, f"chain-argmax-in-lanes-{real.dtype}")


def argmax_scratch(n: int, c: int, width: int, dtype: np.dtype[Any]) -> tuple[int, ...]:
    """What a thread needs: best, scores of labels for some steps, a table; pointers and possible (bytes); places."""
    square, numbers = -(-c * c // width) * width, width // dtype.itemsize + 1
    return c * width, width * width, square * width, n * c * numbers, numbers, 4 * width * 8 // dtype.itemsize
