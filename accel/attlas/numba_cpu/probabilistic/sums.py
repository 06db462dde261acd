"""Sums that the kernels of chains, segments and trees share, in one precision."""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..compile import part
from ..real import Real


class Sums(NamedTuple):
    """Small parts of kernels; `array` is a pointer."""

    add: Any
    """add(total, lost, number): a sum in two parts, what it is and what its roundings lost."""
    whole: Any
    """whole(total, lost): the sum, rounded once."""
    total: Any
    """total(array, count)"""
    largest: Any
    """largest(array, count): 0 if it is -inf, which would make NaN of -inf. A NaN is passed over: sums find it."""
    normalize: Any
    """normalize(array, count): divide by the total, unless that is 0."""
    log_normalize: Any
    """log_normalize(array, count): subtract the logarithm of the exponentials' total, and return it; +inf if one is."""
    gradual: Any
    """gradual(x): exp(x) for x <= 0, also below the smallest normal number."""
    better: Any
    """better(x, than): whether x is larger, where a NaN is larger than all numbers, as NumPy's argmax has it."""
    shares: Any
    """shares(array, count): exponentials in place of logarithms, divided by their total, or zeros."""


@cache
def sums_of(real: Real) -> Sums:
    """Make the sums of one precision."""
    zero, one, infinity, exp = real.number(0), real.number(1), real.number(np.inf), real.exp
    of = str(real.dtype)
    lowest = real.number(math.log(float(np.finfo(real.dtype).smallest_normal)))
    lift, lowered = real.number(44), real.number(math.exp(-44))  # whole, so that nothing is rounded in adding it

    def add(total, lost, number):
        after = total + number
        back = after - total
        return after, lost + ((total - (after - back)) + (number - back))

    def whole(total, lost):
        return total + lost if total - total == zero else total  # infinities have lost nothing

    def total(array, count):
        result = zero
        for i in range(count):
            result += array[i]
        return result

    total = part(total, of, reassociate=True)

    def largest(array, count):
        top = -infinity
        for i in range(count):
            top = array[i] if array[i] > top else top
        return zero if top == -infinity else top

    largest = part(largest, of)

    def normalize(array, count):
        mass = total(array, count)
        if mass != zero:
            for i in range(count):
                array[i] /= mass

    normalize = part(normalize, of)

    def mass_of(array, count, top):
        mass = zero
        for i in range(count):
            mass += exp(array[i] - top)
        return mass

    mass_of = part(mass_of, of, reassociate=True)

    def log_normalize(array, count):
        top = largest(array, count)
        if top == infinity:
            mass = top
            for i in range(count):
                mass += zero if array[i] == array[i] else array[i]
        else:
            mass = math.log(mass_of(array, count, top)) + top
        if mass != -infinity:
            for i in range(count):
                array[i] -= mass
        return mass

    def gradual(x):
        deep = x < lowest
        return exp(x + lift if deep else x) * (lowered if deep else one)

    gradual = part(gradual, of, inline=True)

    def better(x, than):
        return (x > than) | ((x != x) & (than == than))

    def shares(array, count):
        top = largest(array, count)
        for i in range(count):
            array[i] = gradual(array[i] - top)
        normalize(array, count)

    return Sums(
        part(add, of, inline=True),
        part(whole, of, inline=True),
        total,
        largest,
        normalize,
        part(log_normalize, of),
        gradual,
        part(better, of, inline=True),
        part(shares, of),
    )
