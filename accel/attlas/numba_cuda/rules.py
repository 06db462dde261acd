"""What tells one dense formulation from another: how a score is made, and how a score becomes a weight.

A rule is a few small device functions that are compiled into the tile:

- `product(total, x, y)` adds one channel of query and key to the running product of a pair;
- `score(product, bias, scale, first)` makes the score of the pair;
- `weight(score, second)` makes its weight; with a softmax it leaves the score as it is, and the tile carries the
  running (maximum, sum, accumulator).

`first` and `second` are numbers of the formulation's own: a temperature, a cap, a divisor. Rules come from factories,
one per precision, because a literal 1.0 is double precision to the compiler.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .target import device

Real = Any
"""`numpy.float32` or `numpy.float64`: the precision that a kernel is built for."""


@device
def dot(total, x, y):
    return total + x * y


@device
def squared_distance(total, x, y):
    # The difference itself, not its expansion: nothing cancels where points lie far from the origin.
    difference = x - y
    return total + difference * difference


@device
def unchanged(score, second):
    return score


@dataclass(frozen=True)
class Rule:
    """The device functions of a formulation."""

    score: Callable[..., Any]
    product: Callable[..., Any] = dot
    weight: Callable[..., Any] = unchanged

    @property
    def softmax(self) -> bool:
        """Whether the weights of a row are the softmax of its scores."""
        return self.weight is unchanged


RuleFactory = Callable[[Real], Rule]


@functools.cache
def softmax(real: Real) -> Rule:
    """Make the rule of softmax((scale <q, k> + bias) / first)."""

    @device
    def score(product, bias, scale, first):
        return (scale * product + bias) / first

    return Rule(score)


@functools.cache
def softcapped(real: Real) -> Rule:
    """Make the rule of softmax(first tanh((scale <q, k> + bias) / first))."""

    @device
    def score(product, bias, scale, first):
        return first * real(math.tanh((scale * product + bias) / first))

    return Rule(score)


@functools.cache
def distance(real: Real) -> Rule:
    """Make the rule of softmax(-scale |q - k|² + bias)."""

    @device
    def score(product, bias, scale, first):
        return bias - scale * product

    return Rule(score, product=squared_distance)


@functools.cache
def sigmoid(real: Real) -> Rule:
    """Make the rule of logistic(scale <q, k> + bias + first)."""
    one, zero = real(1), real(0)

    @device
    def score(product, bias, scale, first):
        return (scale * product + bias) + first

    @device
    def weight(score, second):
        # The exponential of a negative number cannot overflow.
        small = real(math.exp(-abs(score)))
        return (one if score >= zero else small) / (one + small)

    return Rule(score, weight=weight)


def _rectified(real: Real, squared: bool) -> Rule:
    zero = real(0)

    @device
    def score(product, bias, scale, first):
        return scale * product + bias

    @device
    def weight(score, second):
        part = zero if score <= zero else score  # a NaN stays
        return (part * part if squared else part) / second

    return Rule(score, weight=weight)


@functools.cache
def relu(real: Real) -> Rule:
    """Make the rule of max(scale <q, k> + bias, 0) / second."""
    return _rectified(real, squared=False)


@functools.cache
def squared_relu(real: Real) -> Rule:
    """Make the rule of max(scale <q, k> + bias, 0)² / second."""
    return _rectified(real, squared=True)
