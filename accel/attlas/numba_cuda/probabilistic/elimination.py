"""Elimination of tokens from a matrix of arcs, and the way back, by a team of threads.

It works in place on (n + 1, n) weights, the root in the last row, each column divided by its largest. When a token k is
eliminated, its row and its column are left as they are, like the factors of an LU decomposition, so the way back finds
them there. With g the derivatives of log Z by the weights,

    g[k, d] = Σ_h g[h, d] w[h, k] / D,    g[h, k] = Σ_d g[h, d] w[k, d] / D + (1 - flow) / D,

where flow is what goes over k altogether. The root has the last term only where it is part of D.

Every operation but the last difference adds or multiplies positive numbers, so a small weight is as accurate as a large
one. Nothing underflows as long as no arc is missing and no column spans more than `reach_of`: then no weight, and no D,
is below the smallest of the input. `elimination_logs` is for all other scores.

Threads side by side take dependents, which stand side by side in memory, and the groups of threads take heads.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..rows import plus
from ..rules import Real
from ..target import device_using_cuda
from .sums import added, build_log
from .teams import Team, build_agree, build_wait


def reach_of(dtype: np.dtype[Any]) -> float:
    """How far the scores of a column may lie apart: a product of two weights stays far above the smallest number."""
    return -math.log(float(np.finfo(dtype).smallest_normal)) * 0.45


@functools.cache
def build_fits(team: Team, real: Real) -> Callable[..., Any]:
    """Build fits(...): whether the scores may be eliminated as numbers."""
    agree, threads = build_agree(team, real, plus), team.count
    zero, one, span = real(0), real(1), real(reach_of(np.dtype(real)))

    @device_using_cuda
    def fits(board, t, n, field, weights):
        misfits = zero
        for d in range(t, n, threads):
            low = field[weights + n * n + d]
            high = low
            for h in range(n):
                if h != d:
                    score = field[weights + h * n + d]
                    low = min(low, score)
                    high = max(high, score)
            if not high - low <= span:  # infinities fail, too
                misfits += one
        return agree(board, misfits) == zero

    return fits


@functools.cache
def build_scale_columns(team: Team, real: Real) -> Callable[..., Any]:
    """Build the function that turns scores into weights, at most 1 in each column, and copies them.

    It returns the sum of what was taken off.
    """
    wait, threads = build_wait(team), team.count
    zero = real(0)

    @device_using_cuda
    def scale_columns(t, n, field, weights, original, grads, spare):
        for d in range(t, n, threads):
            top = field[weights + n * n + d]
            for h in range(n):
                top = max(top, field[weights + h * n + d])
            field[spare + d] = top
        wait()
        for place in range(t, (n + 1) * n, threads):
            weight = real(math.exp(field[weights + place] - field[spare + place % n]))
            field[weights + place] = weight
            field[original + place] = weight
            field[grads + place] = zero
        total = zero
        lost = zero
        for d in range(n):
            total, lost = added(total, lost, field[spare + d])
        wait()
        return total, lost

    return scale_columns


@functools.cache
def build_linear(team: Team, real: Real) -> Callable[..., Any]:
    """Build linear(...), which returns log Z in two parts and leaves the probabilities of arcs in place of the scores.

    `original` and `grads` hold as many numbers as the weights, `spare` n, `parts` n + 1 for each thread across.
    """
    agree, wait, log_of = build_agree(team, real, plus), build_wait(team), build_log(real)
    scale_columns, back = build_scale_columns(team, real), build_linear_back(team, real)
    across, down, threads = team.across, team.down, team.count
    zero = real(0)

    @device_using_cuda
    def linear(board, x, y, n, multi, field, weights, original, grads, spare, parts):
        t = y * across + x
        total, lost = scale_columns(t, n, field, weights, original, grads, spare)
        for k in range(n - 1, -1, -1):
            mass = zero
            for h in range(t, k + 1, threads):
                if h < k or multi or k == 0:
                    mass += field[weights + (n if h == k else h) * n + k]
            mass = agree(board, mass)
            total, lost = added(total, lost, log_of(mass))
            for h in range(y, k + 1, down):
                row = weights + (n if h == k else h) * n
                factor = field[row + k] / mass
                for d in range(x, k, across):
                    field[row + d] += factor * field[weights + k * n + d]
            if t == 0:
                field[spare + k] = mass
            wait()
        back(board, x, y, n, multi, field, weights, grads, spare, parts)
        for place in range(t, (n + 1) * n, threads):
            probability = max(field[grads + place] * field[original + place], zero)
            field[weights + place] = zero if place // n == place % n else probability
        wait()
        return total, lost

    return linear


@functools.cache
def build_linear_back(team: Team, real: Real) -> Callable[..., Any]:
    """Build the way back, from the factors that elimination has left to the derivatives."""
    agree, wait = build_agree(team, real, plus), build_wait(team)
    across, down, threads = team.across, team.down, team.count
    zero, one = real(0), real(1)

    @device_using_cuda
    def back(board, x, y, n, multi, field, weights, grads, spare, parts):
        t = y * across + x
        for k in range(n):
            mass = field[spare + k]
            # The diagonal of the derivatives is 0, so a path from a token to itself counts nowhere.
            for h in range(y, k + 1, down):
                row = grads + (n if h == k else h) * n
                part = zero
                for d in range(x, k, across):
                    part += field[row + d] * field[weights + k * n + d]
                field[parts + x * (n + 1) + h] = part
            for d in range(t, k, threads):
                total = zero
                for h in range(k + 1):
                    row = (n if h == k else h) * n
                    total += field[grads + row + d] * (field[weights + row + k] / mass)
                field[grads + k * n + d] = total
            wait()
            flow = zero
            for h in range(t, k + 1, threads):
                row = (n if h == k else h) * n
                passed = zero
                for side in range(across):
                    passed += field[parts + side * (n + 1) + h]
                passed /= mass
                field[grads + row + k] = passed
                flow += passed * field[weights + row + k]
            flow = agree(board, flow)
            rest = (one - flow) / mass
            for h in range(t, k + 1, threads):
                if h < k or multi or k == 0:
                    field[grads + (n if h == k else h) * n + k] += rest
            wait()

    return back
