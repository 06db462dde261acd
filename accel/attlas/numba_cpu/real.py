"""Numbers of one precision: constants and elementary functions for kernels.

Python's literals are float64 and would drag float32 arithmetic up with them, so kernels are built per precision and
take constants and functions from here. Every function is plain arithmetic without a branch, so that LLVM turns a loop
over it into vector instructions.

Bound by: arithmetic, about a dozen multiply-adds per exponential, a tenth of what a pair of width d = 64 costs.

- `exp(x)` for x <= 0: x = k ln 2 + r with |r| <= ln(2)/2, and a Taylor polynomial of e^r whose first neglected term is
  below half a unit in the last place. The result is within 2 units in the last place; below the smallest normal
  number (x < -87.3, x < -708.3) it is 0. exp(-inf) = 0, exp(NaN) = NaN.
- `sigmoid(x)` for any x, through exp(-|x|): no overflow, full relative accuracy on both sides.
- `tanh(x)`: the rational function of Cephes for |x| < 0.625, else from exp(-2|x|); within 3 units in the last place.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from .compile import part
from .pointers import build_open, reals_at


@intrinsic
def bits_of(typing: Any, number: Any) -> Any:
    """The bits of a float as an integer of its size."""
    integer = types.int32 if number == types.float32 else types.int64

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(integer))

    return integer(number), generate


@intrinsic
def _shifted_float(typing: Any, integer: Any, places: Any) -> Any:
    """The float whose bits are those of an integer, moved up by some places."""
    number = types.float32 if integer == types.int32 else types.float64

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        shift = builder.trunc(arguments[1], arguments[0].type) if places.bitwidth > integer.bitwidth else arguments[1]
        return builder.bitcast(builder.shl(arguments[0], shift), context.get_value_type(number))

    return number(integer, places), generate


@dataclass(frozen=True)
class Real:
    """One precision."""

    dtype: np.dtype[Any]
    number: Callable[[float], Any]
    """Makes a constant of this precision."""
    exp: Any
    sigmoid: Any
    tanh: Any
    pointer: Any
    """Turns an address into a pointer to such numbers."""
    open_operands: Any
    open_scratch: Any


@cache
def real_of(dtype: np.dtype[Any]) -> Real:
    """Return the constants and functions of float32 or float64."""
    number = dtype.type
    exp = part(_build_exp(dtype), of=str(dtype), inline=True)
    open_operands, open_scratch = build_open(dtype.itemsize)
    return Real(
        dtype=dtype,
        number=number,
        exp=exp,
        sigmoid=part(_build_sigmoid(number, exp), of=str(dtype), inline=True),
        tanh=part(_build_tanh(number, exp), of=str(dtype), inline=True),
        pointer=reals_at[dtype.itemsize],
        open_operands=open_operands,
        open_scratch=open_scratch,
    )


def _build_exp(dtype: np.dtype[Any]) -> Callable[[Any], Any]:
    number = dtype.type
    info = np.finfo(dtype)
    places = int(info.nmant)
    # Adding 1.5 * 2^places rounds to a whole number and leaves that number in the low bits.
    rounding = number(1.5 * 2.0**places)
    # The exponent's bias on top, so that these low bits, moved up, are those of 2^k.
    biased = number(1.5 * 2.0**places + (info.maxexp - 1))
    per_log2 = number(1 / math.log(2))
    # ln 2 in two parts; the high one has trailing zeros, so that k times it is exact.
    high = number(float.fromhex("0x1.62e4p-1") if places == 23 else float.fromhex("0x1.62e42fee00000p-1"))
    low = number(_LN2_LOW32 if places == 23 else _LN2_LOW64)
    smallest = number(math.log(float(info.smallest_normal)))
    zero = number(0)
    terms = 8 if places == 23 else 14
    c = tuple(number(1 / math.factorial(i)) for i in range(terms))

    if places == 23:

        def polynomial(r):
            high = c[4] + r * (c[5] + r * (c[6] + r * c[7]))
            return c[0] + r * (c[1] + r * (c[2] + r * (c[3] + r * high)))

    else:

        def polynomial(r):
            top = c[9] + r * (c[10] + r * (c[11] + r * (c[12] + r * c[13])))
            middle = c[4] + r * (c[5] + r * (c[6] + r * (c[7] + r * (c[8] + r * top))))
            return c[0] + r * (c[1] + r * (c[2] + r * (c[3] + r * middle)))

    taylor = part(polynomial, of=str(dtype), inline=True)

    def exp(x):
        k = (x * per_log2 + rounding) - rounding
        r = (x - k * high) - k * low
        result = taylor(r) * _shifted_float(bits_of(k + biased), places)
        return zero if x < smallest else result

    return exp


_LN2_LOW32 = float(np.float32(math.log(2) - float.fromhex("0x1.62e4p-1")))
_LN2_LOW64 = 1.90821492927058770002e-10  # ln 2 - 0x1.62e42fee00000p-1, as in fdlibm


def _build_sigmoid(number: Callable[[float], Any], exp: Any) -> Callable[[Any], Any]:
    one, zero = number(1), number(0)

    def sigmoid(x):
        small = exp(-abs(x))
        return (one if x >= zero else small) / (one + small)

    return sigmoid


def _build_tanh(number: Callable[[float], Any], exp: Any) -> Callable[[Any], Any]:
    one, two, near = number(1), number(2), number(0.625)
    p0, p1, p2 = (number(c) for c in (-9.64399179425052238628e-1, -9.92877231001918586564e1, -1.61468768441708447952e3))
    q0, q1, q2 = (number(c) for c in (1.12811678491632931402e2, 2.23548839060100448583e3, 4.84406305325125486048e3))

    def tanh(x):
        size = abs(x)
        z = x * x
        inner = x + x * z * (((p0 * z + p1) * z + p2) / (((z + q0) * z + q1) * z + q2))
        small = exp(-two * size)
        outer = (one - small) / (one + small)
        outer = outer if x > -size else -outer  # the sign of x; NaN either way
        return inner if size < near else outer

    return tanh
