"""Sums that the kernels of chains, segments and trees share, in one precision."""

import functools
import math
from collections.abc import Callable
from typing import Any

from ..rules import Real
from ..target import device


@device
def added(total, lost, number):
    """Add to a sum in two parts, what it is and what its roundings lost."""
    after = total + number
    back = after - total
    return after, lost + ((total - (after - back)) + (number - back))


@device
def better(x, than):
    """Whether x is larger, where a NaN is larger than all numbers, as NumPy's argmax has it."""
    return x > than or (x != x and than == than)


@functools.cache
def build_whole(real: Real) -> Callable[..., Any]:
    """Build the sum of two parts, rounded once."""
    zero = real(0)

    @device
    def whole(total, lost):
        return total + lost if total - total == zero else total  # infinities have lost nothing

    return whole


@functools.cache
def build_log(real: Real) -> Callable[..., Any]:
    """Build the logarithm of a weight, -inf of 0."""
    zero, lowest = real(0), real(-math.inf)

    @device
    def log_of(weight):
        return lowest if weight == zero else real(math.log(weight))

    return log_of
