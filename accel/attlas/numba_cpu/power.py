"""Logarithm and powers of numbers between 0 and 1, beside the functions of `real`.

Plain arithmetic without a branch, so that LLVM turns a loop over it into vector instructions.

- `log(x)` for normal x > 0: x = 2^k m with m between sqrt(1/2) and sqrt(2), and the approximation of Cephes to
  log m, which keeps its relative accuracy where x is near 1. Within 2 units in the last place. NaN stays.
- `power(x, p)` = exp(p log x) for 0 < x and p log x <= 0; its relative error is that of exp, and |p log x| units.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compile import part
from .real import Real


@intrinsic
def _mantissa_and_exponent(typing: Any, number: Any) -> Any:
    """(m, k) with number = m 2^k and m between sqrt(1/2) and sqrt(2)."""
    width, places, half = (32, 23, 0x3F3504F3) if number == types.float32 else (64, 52, 0x3FE6A09E667F3BCD)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        integer, real = ir.IntType(width), arguments[0].type
        moved = ir.Constant(integer, places)
        bits = builder.bitcast(arguments[0], integer)
        exponent = builder.ashr(builder.sub(bits, ir.Constant(integer, half)), moved)
        mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, moved)), real)
        return context.make_tuple(builder, signature.return_type, (mantissa, builder.sitofp(exponent, real)))

    return types.UniTuple(number, 2)(number), generate


class Powers(NamedTuple):
    """Of one precision."""

    log: Any
    power: Any


@cache
def powers_of(real: Real) -> Powers:
    """Return the functions for float32 or float64."""
    log = part(_build_log(real), of=str(real.dtype), inline=True)
    exp = real.exp

    def power(x, p):
        return exp(p * log(x))

    return Powers(log, part(power, of=str(real.dtype), inline=True))


_P32 = (
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
_P64 = (
    1.01875663804580931796e-4,
    4.97494994976747001425e-1,
    4.70579119878881725854e0,
    1.44989225341610930846e1,
    1.79368678507819816313e1,
    7.70838733755885391666e0,
)
_Q64 = (
    1.12873587189167450590e1,
    4.52279145837532221105e1,
    8.29875266912776603211e1,
    7.11544750618563894466e1,
    2.31251620126765340583e1,
)


def _build_log(real: Real) -> Callable[[Any], Any]:
    number = real.number
    one, half = number(1), number(0.5)
    # ln 2 in two parts; the high one has few digits, so that k times it is exact.
    high, low = number(0.693359375), number(-2.121944400546905827679e-4)
    p = tuple(map(number, _P32 if real.dtype == np.float32 else _P64))
    q = tuple(map(number, _Q64))

    if real.dtype == np.float32:

        def ratio(f):
            top = ((p[0] * f + p[1]) * f + p[2]) * f + p[3]
            return ((((top * f + p[4]) * f + p[5]) * f + p[6]) * f + p[7]) * f + p[8]

    else:

        def ratio(f):
            top = ((((p[0] * f + p[1]) * f + p[2]) * f + p[3]) * f + p[4]) * f + p[5]
            return top / (((((f + q[0]) * f + q[1]) * f + q[2]) * f + q[3]) * f + q[4])

    ratio = part(ratio, of=str(real.dtype), inline=True)

    def log(x):
        m, k = _mantissa_and_exponent(x)
        f = m - one
        square = f * f
        rest = (f * (square * ratio(f)) + k * low) - half * square
        result = (f + rest) + k * high
        return result if x == x else x

    return log
