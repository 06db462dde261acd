"""Sums of exponentials that are known by their logarithms, streamed: one exponential for each number.

A partial is (most, total): the largest number so far and the sum of exp(number - most). A NaN stays in the total,
whatever comes after it, and +inf in `most`.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

from ..rules import Real
from ..target import device


@functools.cache
def build_absorb(real: Real) -> Callable[..., Any]:
    """Build the step of a partial by one more number; -inf adds nothing."""
    zero, one, lowest = real(0), real(1), real(-math.inf)

    @device
    def absorb(most, total, number):
        if number == lowest:
            return most, total
        # Of equal infinities the difference would be NaN.
        distance = zero if number == most else number - most
        shrink = real(math.exp(-abs(distance)))
        above = distance > zero or distance != distance
        return (number, total * shrink + one) if above else (most, total + shrink)

    return absorb


@functools.cache
def build_rescale(real: Real) -> Callable[..., Any]:
    """Build the factor of a partial's total where the largest number of all is `best`."""
    one = real(1)

    @device
    def rescale(most, best):
        return one if most == best else real(math.exp(most - best))

    return rescale


@functools.cache
def build_log_total(real: Real) -> Callable[..., Any]:
    """Build the logarithm of the sum that a partial stands for; -inf of nothing."""
    zero, lowest = real(0), real(-math.inf)

    @device
    def log_total(most, total):
        return lowest if total == zero else most + real(math.log(total))

    return log_total
