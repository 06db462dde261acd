"""Rows that are given mean 0 and variance 1 where they have been packed: as lanes of a tile, and side by side.

Both see each number in the nearest cache, so it takes little beside the products. The mean is taken off before anything
is multiplied: what is left of rows far from 0 keeps all its digits.
"""

import math
from functools import cache
from typing import Any, NamedTuple

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ...composites.probabilistic.slots import FLOOR
from ..compile import part
from ..real import Real
from ..vector import INT
from .elimination_steps import Rows


@intrinsic
def _centered(typing: Any, x: Any, mean: Any, squares: Any, d: Any, lanes: Any) -> Any:
    """Give every lane of x (d, lanes) the mean 0; return what was taken off, and the mean of the squares."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, mean, squares, d, lanes = arguments
        rows = Rows(context, builder, signature.args[0].dtype)
        count = rows.spread(builder.sitofp(d, rows.scalar))
        with rows.across(lanes) as (at, _):
            total, square = rows.variable(rows.zero), rows.variable(rows.zero)
            with cgutils.for_range(builder, d, intp=INT) as loop:
                here = builder.add(builder.mul(loop.index, lanes), at)
                builder.store(builder.fadd(builder.load(total), rows.load(x, here)), total)
            middle = builder.fdiv(builder.load(total), count)
            with cgutils.for_range(builder, d, intp=INT) as loop:
                here = builder.add(builder.mul(loop.index, lanes), at)
                apart = builder.fsub(rows.load(x, here), middle)
                rows.store(apart, x, here)
                builder.store(rows.multiply_add(apart, apart, builder.load(square)), square)
            rows.store(middle, mean, at)
            rows.store(builder.load(square), squares, at)
        return context.get_dummy_value()

    i = types.int64
    return types.void(x, mean, squares, i, i), generate


class NormalParts(NamedTuple):
    """Compiled parts for one precision, of rows that are given mean 0 and variance 1."""

    center: Any
    """center(x, mean, factor, d, lanes): x (d, lanes) with mean 0 along each lane; what was taken off, and what it has
    still to be multiplied with."""
    take: Any
    """take(target, matrix, at, used, width, padded, mean, factor): target (used, padded) = the rows themselves."""


@cache
def normal_parts(real: Real) -> NormalParts:
    """Make the parts."""
    zero, one, floor, number, of = real.number(0), real.number(1), real.number(FLOOR), real.number, str(real.dtype)

    def center(x, mean, factor, d, lanes):
        _centered(x, mean, factor, d, lanes)
        for lane in range(lanes):
            factor[lane] = one / math.sqrt(factor[lane] / number(d) + floor)

    def take(target, matrix, at, used, width, padded, mean, factor):
        for lane in range(used):
            start, less, times = at + lane * matrix.row, mean[lane], factor[lane]
            if matrix.column == 1:  # said, so that whole vectors move
                for column in range(width):
                    target[lane * padded + column] = (matrix.memory[start + column] - less) * times
            else:
                for column in range(width):
                    target[lane * padded + column] = (matrix.memory[start + column * matrix.column] - less) * times
            for column in range(width, padded):
                target[lane * padded + column] = zero

    return NormalParts(part(center, of), part(take, of))
