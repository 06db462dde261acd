"""Elimination of tokens from a matrix of arcs, and the way back.

It works in place on (n + 1, n) weights, the root in the last row, each column divided by its largest. When a token k is
eliminated, its row and its column are left as they are, like the factors of an LU decomposition, so the way back finds
them there. With g the derivatives of log Z by the weights,

    g[k, d] = Σ_h g[h, d] w[h, k] / D,    g[h, k] = Σ_d g[h, d] w[k, d] / D + (1 - flow) / D,

where flow is what goes over k altogether. The root has the last term only where it is part of D.

Every operation but the last difference adds or multiplies positive numbers, so a small weight is as accurate as a large
one. Nothing underflows as long as no arc is missing and no column spans more than `reach_of`: then no weight, and no D,
is below the smallest of the input. `elimination_logs` is for all other scores.
"""

import math
from functools import cache
from typing import Any

import numpy as np

from ..compile import part
from ..pointers import moved
from ..real import Real
from .sums import sums_of


def reach_of(dtype: np.dtype[Any]) -> float:
    """How far the scores of a column may lie apart: a product of two weights stays far above the smallest number."""
    return -math.log(float(np.finfo(dtype).smallest_normal)) * 0.45


@cache
def elimination_of(real: Real) -> tuple[Any, Any]:
    """Make fits(weights, n) and linear(weights, original, grads, spare, n, multi).

    The weights come as logarithms. `fits` says whether they may be eliminated as numbers; `linear` does it, returns
    log Z and leaves the probabilities of arcs in place of the weights. `spare` holds n numbers.
    """
    zero, one, exp = real.number(0), real.number(1), real.exp
    of, sums, span = str(real.dtype), sums_of(real), real.number(reach_of(real.dtype))

    def fits(weights, n):
        for d in range(n):
            low, high = weights[n * n + d], weights[n * n + d]
            for h in range(n):
                x = high if h == d else weights[h * n + d]
                low, high = min(low, x), max(high, x)
            if not high - low <= span:  # infinities fail, too
                return False
        return True

    def add_row(target, row, factor, count):
        for d in range(count):
            target[d] += factor * row[d]

    add_row = part(add_row, of)

    def dot(x, y, count):
        total = zero
        for d in range(count):
            total += x[d] * y[d]
        return total

    dot = part(dot, of, reassociate=True)

    def scale_columns(weights, spare, n):
        """Turn scores into weights, at most 1 in each column; return the sum of what was taken off."""
        for d in range(n):
            spare[d] = weights[n * n + d]
        for h in range(n):
            for d in range(n):
                x = weights[h * n + d]
                spare[d] = x if x > spare[d] else spare[d]
        for h in range(n + 1):
            for d in range(n):
                weights[h * n + d] = exp(weights[h * n + d] - spare[d])
        total, lost = zero, zero
        for d in range(n):
            total, lost = sums.add(total, lost, spare[d])
        return total, lost

    scale_columns = part(scale_columns, of)

    def linear(weights, original, grads, spare, n, multi):
        total, lost = scale_columns(weights, spare, n)
        for i in range((n + 1) * n):
            original[i] = weights[i]
            grads[i] = zero
        for k in range(n - 1, -1, -1):
            mass = weights[n * n + k] if multi or k == 0 else zero
            for h in range(k):
                mass += weights[h * n + k]
            total, lost = sums.add(total, lost, math.log(mass))
            row = moved(weights, k * n)
            for h in range(k + 1):
                at = (n if h == k else h) * n
                add_row(moved(weights, at), row, weights[at + k] / mass, k)
            spare[k] = mass
        for k in range(n):
            mass, row, into_row = spare[k], moved(weights, k * n), moved(grads, k * n)
            flow = zero
            for h in range(k + 1):
                at = (n if h == k else h) * n
                # The diagonal of the derivatives is 0, so a path from a token to itself counts nowhere.
                passed = dot(moved(grads, at), row, k) / mass
                grads[at + k] = passed
                flow += passed * weights[at + k]
                add_row(into_row, moved(grads, at), weights[at + k] / mass, k)
            rest = (one - flow) / mass
            for h in range(k):
                grads[h * n + k] += rest
            if multi or k == 0:
                grads[n * n + k] += rest
        for i in range((n + 1) * n):
            weights[i] = max(grads[i] * original[i], zero)
        for d in range(n):
            weights[d * n + d] = zero
        return sums.whole(total, lost)

    return part(fits, of), part(linear, of)
