"""Elimination of tokens from a matrix of arcs, and the way back.

The weights stand turned, a row per token and a lane per head, the root first, each row divided by its largest. So what
leads into a token lies side by side: it is summed, divided and added to other rows in whole vectors. When a token k is
eliminated, what is left of its row and its column stays, like the factors of an LU decomposition, so the way back finds
it there. With g the derivatives of log Z by the weights,

    g[k, d] = Σ_h g[h, d] w[h, k] / D,    g[h, k] = Σ_d g[h, d] w[k, d] / D + (1 - flow) / D,

where flow is what goes over k altogether. The root has the last term only where it is part of D.

Every operation but the last difference adds or multiplies positive numbers, so a small weight is as accurate as a large
one. Nothing underflows as long as no arc is missing and no row spans more than `reach_of`: then no weight, and no D, is
below the smallest of the input. `elimination_logs` is for all other scores.
"""

import math
from functools import cache
from typing import Any

import numpy as np

from ..blocks import fill
from ..compile import part
from ..pointers import moved
from ..power import powers_of
from ..real import Real
from ..squares import load_square, store_square
from ..vector import lanes_of
from .elimination_steps import GROUP, add_paths, divide, extent, finish_back, sum_back
from .sums import sums_of


def reach_of(dtype: np.dtype[Any]) -> float:
    """How far the scores of a row may lie apart: a product of two weights stays far above the smallest number."""
    return -math.log(float(np.finfo(dtype).smallest_normal)) * 0.45


def matrix_size(n: int, dtype: np.dtype[Any]) -> int:
    """How many numbers a matrix of n tokens takes: whole squares, and the lane by which the root moves them."""
    width = lanes_of(dtype)
    return -(-n // width) * width * (-(-(n + 1) // width) * width) + width


@cache
def elimination_of(real: Real) -> tuple[Any, Any, Any]:
    """Make turn_in, linear and turn_out, for the tokens of a sentence; `places` holds so many whole numbers.

    turn_in(weights, arcs, roots, member, tokens, places, count, spare) sets the scores into rows, the largest of each
    into `spare`, and says whether they may be eliminated as numbers. linear(weights, original, grads, factors, spare,
    count, multi) does it, returns log Z and leaves the probabilities of arcs in `grads`; `spare` holds 2 count numbers.
    turn_out(marginals, roots, grads, tokens, places, count, n) hands these out.
    """
    zero, exp, log = real.number(0), real.exp, powers_of(real).log
    of, sums, span, width = str(real.dtype), sums_of(real), real.number(reach_of(real.dtype)), lanes_of(real.dtype)
    together = GROUP * width

    def stride_of(count):
        return (count + width) // width * width

    stride_of = part(stride_of, of)

    def vectors_of(first, k):
        """How many vectors the heads from `first` to k fill, of those that are taken together."""
        return min(GROUP, (k - first) // width + 1)

    vectors_of = part(vectors_of, of, inline=True)

    def turn_in(weights, arcs, roots, member, tokens, places, count, spare):
        stride = stride_of(count)
        for h in range(count):
            places[h] = arcs.places[member] + tokens[h] * arcs.row
        if arcs.column == 1 and tokens[count - 1] == count - 1:  # all tokens up to the last one
            for d in range(0, count, width):
                for h in range(0, count, width):
                    target, columns = moved(weights, d * stride + h + 1), min(width, count - d)
                    load_square(target, stride, arcs.memory, moved(places, h), d, min(width, count - h), columns)
        else:
            for d in range(count):
                for h in range(count):
                    weights[d * stride + h + 1] = arcs.memory[places[h] + tokens[d] * arcs.column]
        for d in range(count):
            weights[d * stride] = roots.memory[roots.places[member] + tokens[d] * roots.column]
        for d in range(count):
            low, high = extent(moved(weights, d * stride), d + 1, count + 1, stride)
            spare[d] = high
            if not high - low <= span:  # infinities and NaN fail, too
                return False
        return True

    def scale_rows(weights, original, tops, count, stride):
        """Turn scores into weights, at most 1 in each row, and 0 where there is no arc."""
        for d in range(count):
            row, top = moved(weights, d * stride), tops[d]
            for h in range(stride):
                row[h] = exp(row[h] - top)
            row[d + 1] = zero
            for h in range(count + 1, stride):
                row[h] = zero
        for i in range(count * stride):
            original[i] = weights[i]

    scale_rows = part(scale_rows, of)

    def linear(weights, original, grads, factors, spare, count, multi):
        stride, masses = stride_of(count), moved(spare, count)
        scale_rows(weights, original, spare, count, stride)
        for k in range(count - 1, -1, -1):
            masses[k] = divide(weights, factors, stride, k, multi or k == 0)
            for first in range(0, k + 1, together):
                add_paths(weights, factors, stride, k, first, vectors_of(first, k))
        fill(grads, count * stride, zero)
        for k in range(count):
            for first in range(0, k + 1, together):
                sum_back(grads, weights, factors, stride, k, first, vectors_of(first, k), first == 0)
            finish_back(grads, factors, stride, k, masses[k], multi or k == 0)
        for i in range(count * stride):
            grads[i] = max(grads[i] * original[i], zero)
        for k in range(count):
            masses[k] = log(masses[k])
        total, lost = zero, zero
        for i in range(2 * count):
            total, lost = sums.add(total, lost, spare[i])
        return sums.whole(total, lost)

    def turn_out(marginals, roots, grads, tokens, places, count, n):
        stride = stride_of(count)
        for h in range(count):
            places[h] = tokens[h] * n
        if tokens[count - 1] == count - 1:
            for h in range(0, count, width):
                for d in range(0, count, width):
                    source, columns = moved(grads, d * stride + h + 1), min(width, count - d)
                    store_square(marginals, moved(places, h), d, min(width, count - h), columns, source, stride)
        else:
            for d in range(count):
                for h in range(count):
                    marginals[places[h] + tokens[d]] = grads[d * stride + h + 1]
        for d in range(count):
            roots[tokens[d]] = grads[d * stride]

    return part(turn_in, of), part(linear, of), part(turn_out, of)
