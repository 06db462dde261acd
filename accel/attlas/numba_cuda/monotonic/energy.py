"""How willing a pointer is to stop, on Numba-CUDA: the "weights" of rules that are no softmax.

What is linear in a query or a key alone is projected once, and a gain becomes part of it: O((m + n) a) numbers. The
pairs are left to the tile (`pairs`, `network`). Where a mask hides keys, energies are copied once more, with -inf
there.

Bound by operations, m n a hyperbolic tangents or m n a multiply-adds, as the tile is; small a by the bytes written.
Results differ from the reference by rounding.
"""

import functools
import math
from typing import Any

import numpy as np

from ..assemble import Assembly, product
from ..dense import Attention
from ..learned import projected
from ..operands import dtype_of, shape_of
from ..rules import Real, Rule
from ..target import device
from ..unit_rms import unit_rms
from ..views import as_row, once, spread


@device
def itself(score, second):
    return score


def build_chance(real: Real) -> Any:
    """Build the logistic function, which overflows on neither side."""
    zero, one = real(0), real(1)

    @device
    def chance(score, second):
        small = real(math.exp(-abs(score)))
        return (one if score >= zero else small) / (one + small)

    return chance


def _score(product, bias, scale, first):
    """The product with an offset and scaled noise."""
    return (product + first) + scale * bias


def build_unit(real: Real) -> Any:
    """Build the hidden unit u tanh(x + y)."""

    @device
    def unit(total, x, y, factor, first):
        return total + factor * real(math.tanh(x + y))

    return unit


noisy: Any = device(_score)


@functools.cache
def dot_energy(real: Real) -> Rule:
    """Make the rule of energies that are products; first is the offset, the scale that of the noise."""
    return Rule(noisy, weight=itself)


@functools.cache
def dot_chance(real: Real) -> Rule:
    """Make the rule of their logistic functions."""
    return Rule(noisy, weight=build_chance(real))


@functools.cache
def additive_energy(real: Real) -> Rule:
    """Make the rule of energies u · tanh(q + k), likewise."""
    return Rule(noisy, weight=itself, unit=build_unit(real))


@functools.cache
def additive_chance(real: Real) -> Rule:
    """Make the rule of their logistic functions."""
    return Rule(noisy, weight=build_chance(real), unit=build_unit(real))


ENERGIES = (dot_energy, dot_chance, additive_energy, additive_chance)
"""By whether hidden units are summed, and whether the logistic function is taken."""


def lowest_if_hidden(real: Real) -> Any:
    """Make left, and -inf where right is not true."""
    lowest = real(-math.inf)

    @device
    def entry(left, right):
        return left if right else lowest

    return entry


def monotonic_energy(
    query: Any,
    key: Any,
    *,
    score: str,
    w_query: Any,
    w_key: Any,
    b: Any,
    v: Any,
    g: float,
    r: float,
    scale: float | None,
    noise: Any,
    noise_scale: float,
    mask: Any,
    return_probability: bool,
) -> Any:
    """Compute `attlas_ref.monotonic_energy`."""
    additive = score == "additive"
    query = query if w_query is None else projected(query, w_query, b)
    key = key if w_key is None else projected(key, w_key)
    extra, width = None, shape_of(query)[-1]
    if additive:
        extra = unit_rms(as_row(v), 0.0, factor=g / math.sqrt(width))  # the root of the sum, not of the mean
    elif score == "dot":
        query = _times(query, g)
    else:
        query = _times(query, 1 / math.sqrt(width) if scale is None else scale)
    rule = ENERGIES[2 * additive + return_probability]
    attention = Attention(rule, query, key, mask=mask, bias=noise, scale=noise_scale, first=r, extra=extra)
    energies = attention.weights(normalized=False)
    if mask is None or return_probability:
        return energies
    *batch, m, n = shape_of(energies)
    return Assembly(tuple(batch), m, n, dtype_of(energies)).put(lowest_if_hidden, energies, mask).matrix


def _times(rows: Any, number: float) -> Any:
    """Multiply rows by a number; those that are the same memory in several members once."""
    own = once(rows)
    leading, (count, width), dtype = shape_of(own)[:-2], shape_of(own)[-2:], dtype_of(own)
    result = Assembly(leading, count, width, dtype).put(product, own, np.full((1, 1), number, dtype)).matrix
    return spread(result, np.broadcast_shapes(shape_of(rows)[:-2], leading))
