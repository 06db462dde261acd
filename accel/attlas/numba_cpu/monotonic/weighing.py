"""How attentions that move turn the scores of a step into weights, on the CPU; in place, a vector of keys at a time.

Bound by: an exponential per key, and for forward attention two logarithms, beside the hidden units of a score.
Differs from the reference by rounding: a prior multiplies exponentials where the reference adds its logarithm.
"""

import math
from functools import cache
from typing import Any, NamedTuple

from ..compile import part
from ..probabilistic.sums import sums_of
from ..real import Real
from .steps import steps_of


class Weighing(NamedTuple):
    """Parts of kernels, in one precision; `w` are scores and become weights."""

    squash: Any
    """squash(w, seen, n): in proportion to the logistic function, also where all scores are far below 0."""
    look_back: Any
    """look_back(target, past, prior, at, count, n): Σ_k prior_k past_(j - k), nothing before the first key."""
    multiply: Any
    """multiply(w, factors, seen, floor, n): the softmax, times factors of at least `floor`, as shares."""
    forward: Any
    """forward(w, past, logs, seen, stay, go, smooth, least, n): the softmax of keys that are reached; logs scratch."""


@cache
def weighing_of(real: Real) -> Weighing:
    """Make the parts of one precision."""
    zero, one = real.number(0), real.number(1)
    steps, sums, of = steps_of(real), sums_of(real), str(real.dtype)
    gradual = sums.gradual

    def squash(w, seen, n):
        top = steps.fold(w, seen, n)
        top = top if top < zero else zero
        for j in range(n):
            x = w[j]
            w[j] = gradual((zero if x > zero else x) - top) / (one + gradual(-abs(x)))
        steps.divide(w, seen, n)

    def look_back(target, past, prior, at, count, n):
        for j in range(n):
            target[j] = zero
        for k in range(count):
            weight = prior.memory[at + k * prior.column]
            for j in range(min(k, n)):
                target[j] += weight * zero
            for j in range(k, n):
                target[j] += weight * past[j - k]

    def multiply(w, factors, seen, floor, n):
        top = steps.fold(w, seen, n)
        for j in range(n):
            factor = floor if factors[j] < floor else factors[j]
            w[j] = gradual(w[j] - top) * factor if seen[j] else zero
        steps.divide(w, seen, n)

    def forward(w, past, logs, seen, stay, go, smooth, least, n):
        top, least = steps.fold(w, seen, n), math.log(least)
        for j in range(n):
            logs[j] = gradual(w[j] - top)
        total = math.log(sums.total(logs, n)) + top
        for j in range(n):
            before = past[j - 1] if j > 0 else zero
            x = math.log((stay * past[j] + go * before) + smooth) + (w[j] - total)
            w[j] = least if x < least else x
        steps.share(w, seen, n)

    return Weighing(part(squash, of), part(look_back, of), part(multiply, of), part(forward, of))
