"""Turning squares of numbers in registers: rows become lanes, lanes become rows.

A square is as many rows as a vector holds numbers. Whole rows are loaded, squares of two halves change places, then
those of quarters, and so on: log2(width) shuffles per row, where moving number by number takes a load and a store
each.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .vector import HOST


def _numbers(*pointers: Any) -> int:
    """How many numbers of their one type a vector holds; 0 if they are of several types, or none that is turned."""
    first = pointers[0].dtype
    same = all(pointer.dtype == first for pointer in pointers)
    return HOST.bytes * 8 // first.bitwidth if same and isinstance(first, types.Float) else 0


@intrinsic
def side_of(typing: Any, out: Any, x: Any) -> Any:
    """The side of the squares that `turn` can turn between two places, known when a kernel is compiled; 0: none."""
    side = _numbers(out, x)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(ir.IntType(64), side)

    return types.int64(out, x), generate


def turned(builder: Any, rows: Any) -> list[Any]:
    """The rows of a square in registers, with lanes in place of rows."""
    rows, side = list(rows), len(rows)
    apart, places, kind = side // 2, range(side), ir.VectorType(ir.IntType(32), side)
    while apart:
        # Of two rows that stand so far apart, the off-diagonal squares of that size change places.
        upper = ir.Constant(kind, [j - apart + side if j & apart else j for j in places])
        lower = ir.Constant(kind, [j + side if j & apart else j + apart for j in places])
        for row in places:
            if not row & apart:
                a, b = rows[row], rows[row + apart]
                rows[row] = builder.shuffle_vector(a, b, upper)
                rows[row + apart] = builder.shuffle_vector(a, b, lower)
        apart //= 2
    return rows


@intrinsic
def turn(typing: Any, out: Any, out_at: Any, out_row: Any, x: Any, x_at: Any, x_row: Any) -> Any:
    """out[column, row] = x[row, column] for a square; the numbers of a row stand side by side in both."""
    side = _numbers(out, x)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if not side:
            return context.get_dummy_value()
        target, target_at, target_row, source, source_at, source_row = arguments
        scalar = context.get_data_type(signature.args[0].dtype)
        vector = ir.VectorType(scalar, side)
        size = HOST.bytes // side

        def row_of(array: Any, at: Any, step: Any, row: int) -> Any:
            place = builder.add(at, builder.mul(step, ir.Constant(ir.IntType(64), row)))
            return builder.bitcast(builder.gep(array, [place]), vector.as_pointer())

        rows = [builder.load(row_of(source, source_at, source_row, row), align=size) for row in range(side)]
        for column, line in enumerate(turned(builder, rows)):
            builder.store(line, row_of(target, target_at, target_row, column), align=size)
        return context.get_dummy_value()

    i = types.int64
    return types.void(out, i, i, x, i, i), generate
