"""What tells one dense formulation from another: how a score is made, and how a score becomes a weight.

A rule is a few small device functions that are compiled into the tile:

- `product(total, x, y)` adds one channel of query and key to the running product of a pair;
- `score(product, bias, scale, first)` makes the score of the pair;
- `weight(score, second)` makes its weight; with a softmax it leaves the score as it is, and the tile carries the
  running (maximum, sum, accumulator).

`first` and `second` are numbers of the formulation's own: a temperature, a cap, a divisor. Some rules read one more
matrix, the operand `extra`, with leading axes of its own: the factors of hidden units, two numbers of each key, or one
of each pair.
Rules come from factories, one per precision, because a literal 1.0 is double precision to the compiler.
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
    unit: Callable[..., Any] | None = None
    """In place of `product`: unit(total, x, y, factor, first) adds a hidden unit, whose factor is in `extra` (1, d)."""
    second_layer: bool = False
    """The product is a network with two layers of units; `extra` (d + 2, width) has the second one, see `network`."""
    of_key: bool = False
    """The score takes two more numbers, those of its key: the columns of `extra` (n, 2), or (n, 1) for both."""
    of_pair: bool = False
    """The score takes one more number, that of its pair: `extra` is (m, n)."""
    signed: bool = False
    """The softmax is that of the scores' sizes, and the weights take the scores' signs."""
    divisor: Callable[..., Any] | None = None
    """Of a normalized row, from the sum of its weights' sizes: divisor(total, second). None: the total, but for 0."""

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
def build_logistic(real: Real) -> Callable[..., Any]:
    """Build 1 / (1 + exp(-x))."""
    one, zero = real(1), real(0)

    @device
    def logistic(x):
        # The exponential of a negative number cannot overflow.
        small = real(math.exp(-abs(x)))
        return (one if x >= zero else small) / (one + small)

    return logistic


@functools.cache
def sigmoid(real: Real) -> Rule:
    """Make the rule of logistic(scale <q, k> + bias + first)."""
    logistic = build_logistic(real)

    @device
    def score(product, bias, scale, first):
        return (scale * product + bias) + first

    @device
    def weight(score, second):
        return logistic(score)

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


@functools.cache
def build_divisor(real: Real) -> Callable[..., Any]:
    """Build the divisor of most rules: the total, and 1 where it is 0."""
    zero, one = real(0), real(1)

    @device
    def divisor(total, second):
        return total if total != zero else one

    return divisor


@functools.cache
def build_sign(real: Real) -> Callable[..., Any]:
    """Build the sign of a number: -1, 0 or 1, or NaN."""
    zero, one, minus = real(0), real(1), real(-1)

    @device
    def sign(number):
        return one if number > zero else (minus if number < zero else number)

    return sign


@functools.cache
def cog(real: Real) -> Rule:
    """Make the rule of sign(s) softmax(|s|), s = scale <q, k> + bias."""

    @device
    def score(product, bias, scale, first):
        return scale * product + bias

    return Rule(score, signed=True)
