"""How attentions that move turn the scores of a step into weights, on the CPU; in place, a vector of keys at a time.

Forward attention multiplies where the reference adds logarithms: exponentials are taken relative to the largest score
of a key that is reached at all, and what has reached a key is lifted by 2^60, so that a product is a normal number also
where what has reached its key is hardly one.

Bound by: an exponential or two per key, beside the hidden units of a score.
Differs from the reference by rounding: a prior multiplies exponentials where the reference adds its logarithm.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

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
    """forward(w, past, reached, seen, stay, go, smooth, least, n): the softmax of keys that are reached; before the
    first key of the past stands a 0, `reached` is scratch."""


@cache
def weighing_of(real: Real) -> Weighing:
    """Make the parts of one precision."""
    zero, one, infinity, lift = real.number(0), real.number(1), real.number(np.inf), real.number(2.0**60)
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

    def mass(w, top, n):
        total = zero
        for j in range(n):
            total += gradual(w[j] - top)
        return total

    def near_top(w, reached, n):
        """The largest score of a key that is reached."""
        top = -infinity
        for j in range(n):
            top = w[j] if (reached[j] > zero) & (w[j] > top) else top
        return zero if top == -infinity else top

    mass, near_top = part(mass, of, reassociate=True), part(near_top, of)

    def forward(w, past, reached, seen, stay, go, smooth, least, n):
        top = steps.fold(w, seen, n)
        total = mass(w, top, n)
        for j in range(n):
            reached[j] = ((stay * past[j] + go * past[j - 1]) + smooth) * lift
        near = top if least > zero else near_top(w, reached, n)
        low, strange = least * total * lift, total - total
        for j in range(n):
            above = w[j] - near
            x = reached[j] * gradual(zero if above > zero else above)  # what is above is not reached
            x = low if x < low else x
            w[j] = x + strange if seen[j] else zero
        steps.divide(w, seen, n)

    return Weighing(part(squash, of), part(look_back, of), part(multiply, of), part(forward, of))
