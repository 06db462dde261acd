"""Products of matrices of which every lane of a vector has its own.

    out[i, j] += Σ_s  x[i, s] · y[j, s],    every entry so many lanes.

Nothing is spread and nothing turned: what stands side by side stays there. A tile of `SIDE` × `SIDE` sums needs only
2 `SIDE` loads for as many multiply-adds as it has sums. The order of a sum is that of s, whichever tile computes it.
"""

from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..compile import part
from ..pointers import moved
from ..real import Real
from ..vector import INT
from .elimination_steps import Rows

SIDE = 4


def _tile(wide: bool, deep: bool) -> Any:
    """Make the instructions of one tile: as many i as a side if `wide`, as many j if `deep`, else one."""
    heights, depths = range(SIDE if wide else 1), range(SIDE if deep else 1)

    @intrinsic
    def tile(
        typing: Any, out: Any, x: Any, y: Any, out_i: Any, out_j: Any, x_i: Any, x_s: Any, y_j: Any, y_s: Any,
        count: Any, lanes: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            out, x, y, out_i, out_j, x_i, x_s, y_j, y_s, count, lanes = arguments
            rows = Rows(context, builder, signature.args[0].dtype)

            def place(first: Any, *steps: tuple[int, Any]) -> Any:
                for times, step in steps:
                    first = builder.add(first, builder.mul(ir.Constant(INT, times), step))
                return first

            with rows.across(lanes) as (at, _):
                places = {(i, j): place(at, (i, out_i), (j, out_j)) for i in heights for j in depths}
                sums = {one: rows.variable(rows.load(out, where)) for one, where in places.items()}
                with cgutils.for_range(builder, count, intp=INT) as loop:
                    from_x = builder.add(at, builder.mul(loop.index, x_s))
                    from_y = builder.add(at, builder.mul(loop.index, y_s))
                    left = [rows.load(x, place(from_x, (i, x_i))) for i in heights]
                    right = [rows.load(y, place(from_y, (j, y_j))) for j in depths]
                    for (i, j), total in sums.items():
                        builder.store(rows.multiply_add(left[i], right[j], builder.load(total)), total)
                for one, where in places.items():
                    rows.store(builder.load(sums[one]), out, where)
            return context.get_dummy_value()

        i = types.int64
        return types.void(out, x, y, i, i, i, i, i, i, i, i), generate

    return tile


@cache
def lane_products_of(real: Real) -> Any:
    """Make add(out, out_i, out_j, height, depth, x, x_i, x_s, y, y_j, y_s, count, lanes): i below `height`, j below
    `depth`, s below `count`, whole vectors of lanes; the other numbers are strides."""
    whole, high, low, one = _tile(True, True), _tile(True, False), _tile(False, True), _tile(False, False)

    def add(out, out_i, out_j, height, depth, x, x_i, x_s, y, y_j, y_s, count, lanes):
        i = 0
        while i < height:
            wide, j = i + SIDE <= height, 0
            from_x = moved(x, i * x_i)
            while j < depth:
                deep = j + SIDE <= depth
                target, from_y = moved(out, i * out_i + j * out_j), moved(y, j * y_j)
                if wide and deep:
                    whole(target, from_x, from_y, out_i, out_j, x_i, x_s, y_j, y_s, count, lanes)
                elif wide:
                    high(target, from_x, from_y, out_i, out_j, x_i, x_s, y_j, y_s, count, lanes)
                elif deep:
                    low(target, from_x, from_y, out_i, out_j, x_i, x_s, y_j, y_s, count, lanes)
                else:
                    one(target, from_x, from_y, out_i, out_j, x_i, x_s, y_j, y_s, count, lanes)
                j += SIDE if deep else 1
            i += SIDE if wide else 1

    return part(add, str(real.dtype))
