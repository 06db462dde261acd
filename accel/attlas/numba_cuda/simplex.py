"""Sparsemax and entmax: rows of scores onto the simplex, with exact zeros.

All are p_j = [x_j - t]₊^(1/(alpha - 1)), with x = (alpha - 1)(score - the largest), once the threshold t is known for
which they sum to 1. It is found without sorting, by Newton's method on N(t) = (Σ [x_j - t]₊^p)^(1/p), p = 1/(alpha-1):
for alpha <= 2 this is a norm of a vector of convex functions, so convex and falling. From t = -1, where N >= 1, Newton
climbs to the root without ever passing it and needs about 6 sweeps over the row, never more than some tens, whatever
the scores. For alpha 2 a step is the closed form on the current support, hence exact when the support stands still.

For alpha > 2 the sum is not convex: there, and when few bisections are asked for, the threshold is bisected as in the
reference, up to the point where halving changes nothing.

Bound by bytes: a sweep reads the row once for a few operations per score (and a power of it for general alpha).
Results differ from the reference by rounding only.
"""

import functools
import math
from typing import Any

import numpy as np

from . import rules
from .bands import Band, Banded, attend_rows
from .dense import Attention, attend
from .operands import dtype_of, problem, shape_of
from .rows import SOFTMAX, RowBlock, RowRule, build_combine, build_divide, build_largest, compensated, plus
from .rules import Real
from .target import allocate, cuda, device, device_using_cuda, shaped
from .views import as_rows, with_axis_back

SWEEPS = 100
"""Newton's steps at most. Each makes the product of what the sum exceeds 1 by and of the slope at least four times
smaller, so some tens suffice for any row."""


MOST_BISECTIONS = 2000
"""No float64 can be halved more often."""


def _build_newton(block: RowBlock, real: Real, terms: Any, step: Any) -> Any:
    """Build the search of the threshold.

    terms(z, p) = (z^p, z^(p - 1)) for z > 0; step(total, slope, factor): how far t moves, given the sums of these.
    """
    combine = build_combine(block, plus, plus, plus)
    across, threads = block.across, block.count
    zero, one, unit = real(0), real(1), np.finfo(real).eps

    @device_using_cuda
    def threshold(board, band, start, end, shift, factor, power):
        t = -one
        for _ in range(SWEEPS):
            total = zero
            slope = zero
            for j in range(cuda.threadIdx.y * across + cuda.threadIdx.x, end, threads):
                z = factor * (band[start + j] - shift) - t
                if z > zero:
                    high, low = terms(z, power)
                    total += high
                    slope += low
            total, slope, _ = combine(board, total, slope, zero)
            if not slope > zero:
                break  # nothing above the threshold, or a NaN: there is nothing to find
            move = step(total, slope, factor)
            if not abs(move) <= one:
                break
            t += move
            if not move > unit * abs(t):
                break
        return t

    return threshold


def _build_finish(block: RowBlock, real: Real, term: Any) -> Any:
    """Build the weights from the threshold, divided by their sum."""
    divide = build_divide(block, real)
    across, threads = block.across, block.count
    zero = real(0)

    @device_using_cuda
    def finish(board, band, start, end, shift, factor, power, t):
        total = zero
        lost = zero
        for j in range(cuda.threadIdx.y * across + cuda.threadIdx.x, end, threads):
            z = factor * (band[start + j] - shift) - t
            weight = z  # a NaN stays
            if z <= zero:
                weight = zero
            elif z > zero:
                weight = term(z, power)
            band[start + j] = weight
            total, lost = compensated(total, lost, weight)
        return divide(board, band, start, end, total)

    return finish


def _build_sparsemax(block: RowBlock, real: Real) -> Any:
    largest, combine = build_largest(block, real), build_combine(block, plus, plus, plus)
    across, threads = block.across, block.count
    zero, one, lowest = real(0), real(1), real(-math.inf)

    @device
    def terms(z, power):
        return z, one

    @device
    def step(total, slope, factor):
        return (total - one) / slope

    threshold = _build_newton(block, real, terms, step)

    @device_using_cuda
    def normalize(board, band, start, end, first, second, third, own):
        thread = cuda.threadIdx.y * across + cuda.threadIdx.x
        maximum = largest(board, band, start, end)
        shift = zero if maximum == lowest else maximum
        t = threshold(board, band, start, end, shift, one, one)
        # One more step, with a compensated sum: here the weights are not divided by theirs.
        total = zero
        lost = zero
        count = zero
        for j in range(thread, end, threads):
            z = (band[start + j] - shift) - t
            if z > zero:
                total, lost = compensated(total, lost, z)
                count += one
        total, count, _ = combine(board, total, count, zero)
        if count > zero:
            t += (total - one) / count
        for j in range(thread, end, threads):
            z = (band[start + j] - shift) - t
            band[start + j] = zero if z <= zero else z  # a NaN stays
        return maximum

    return normalize


def _build_entmax15(block: RowBlock, real: Real) -> Any:
    largest = build_largest(block, real)
    zero, half, one, lowest = real(0), real(0.5), real(1), real(-math.inf)

    @device
    def terms(z, power):
        return z * z, z

    @device
    def step(total, slope, factor):
        length = real(math.sqrt(total))
        return (length - one) * (length / slope)

    @device
    def square(z, power):
        return z * z

    threshold = _build_newton(block, real, terms, step)
    finish = _build_finish(block, real, square)

    @device_using_cuda
    def normalize(board, band, start, end, first, second, third, own):
        maximum = largest(board, band, start, end)
        shift = zero if maximum == lowest else maximum
        t = threshold(board, band, start, end, shift, half, one)
        return finish(board, band, start, end, shift, half, one, t)

    return normalize


@functools.cache
def _powered(real: Real) -> Any:
    @device
    def powered(z, power):
        return real(z**power)

    return powered


def _build_entmax(block: RowBlock, real: Real) -> Any:
    """Numbers: alpha - 1 and its inverse."""
    largest, powered = build_largest(block, real), _powered(real)
    zero, one, lowest = real(0), real(1), real(-math.inf)

    @device
    def terms(z, power):
        low = powered(z, power - one)
        return low * z, low

    @device
    def step(total, slope, factor):
        length = powered(total, factor)
        return (length - one) / length * (total / slope)

    threshold = _build_newton(block, real, terms, step)
    finish = _build_finish(block, real, powered)

    @device_using_cuda
    def normalize(board, band, start, end, first, second, third, own):
        maximum = largest(board, band, start, end)
        shift = zero if maximum == lowest else maximum
        t = threshold(board, band, start, end, shift, first, second)
        return finish(board, band, start, end, shift, first, second, t)

    return normalize


def _build_bisected(block: RowBlock, real: Real) -> Any:
    """Numbers: alpha - 1, the number of bisections, and n^(1 - alpha)."""
    largest, powered = build_largest(block, real), _powered(real)
    combine, finish = build_combine(block, plus, plus, plus), _build_finish(block, real, powered)
    across, threads = block.across, block.count
    zero, half, one, lowest = real(0), real(0.5), real(1), real(-math.inf)

    @device_using_cuda
    def normalize(board, band, start, end, first, second, third, own):
        maximum = largest(board, band, start, end)
        shift = zero if maximum == lowest else maximum
        power = one / first
        low = -one
        high = -third
        t = half * (low + high)
        for _ in range(int(second)):
            total = zero
            for j in range(cuda.threadIdx.y * across + cuda.threadIdx.x, end, threads):
                z = first * (band[start + j] - shift) - t
                if z > zero:
                    total += powered(z, power)
            total, _, _ = combine(board, total, zero, zero)
            if total >= one:
                low = t
            else:
                high = t
            t = half * (low + high)
            if not (low < t and t < high):
                break  # once the middle is one of the ends it remains so
        return finish(board, band, start, end, shift, first, power, t)

    return normalize


def _slope_of_sparsemax(real: Real) -> Any:
    one = real(1)

    @device
    def slope(weight, first, second, third):
        return one

    return slope


def _slope_of_entmax15(real: Real) -> Any:
    @device
    def slope(weight, first, second, third):
        return real(math.sqrt(weight))

    return slope


def _slope_of_entmax(real: Real) -> Any:
    powered, one = _powered(real), real(1)

    @device
    def slope(weight, first, second, third):
        return powered(weight, one - first)

    return slope


def _slope_of_softmax(real: Real) -> Any:
    @device
    def slope(weight, first, second, third):
        return weight

    return slope


SPARSEMAX = RowRule("sparsemax", _build_sparsemax, slope=_slope_of_sparsemax)
ENTMAX15 = RowRule("entmax15", _build_entmax15, slope=_slope_of_entmax15)
ENTMAX = RowRule("entmax", _build_entmax, slope=_slope_of_entmax)
BISECTED = RowRule("bisected", _build_bisected, slope=_slope_of_entmax)
EXPONENTIAL = RowRule("exponential", SOFTMAX.build, slope=_slope_of_softmax)


def rule_of_alpha(
    alpha: float, n: int, dtype: np.dtype[Any], method: str = "auto", iterations: int = 60
) -> tuple[RowRule, tuple[float, ...]]:
    """Return the rule for an alpha, and its numbers."""
    if method != "bisect" and alpha in (1.5, 2):
        return (SPARSEMAX if alpha == 2 else ENTMAX15), ()
    if alpha == 1:
        return EXPONENTIAL, ()
    # With so many bisections the threshold is as sharp as the precision allows, and Newton is faster.
    if alpha <= 2 and iterations > np.finfo(dtype).nmant + 4:
        return ENTMAX, (alpha - 1, 1 / (alpha - 1))
    return BISECTED, (alpha - 1, min(iterations, MOST_BISECTIONS), float(max(n, 1)) ** (1 - alpha))


def mapped(
    scores: Any, *, alpha: float, axis: int, mask: Any, method: str = "auto", iterations: int = 60, grad: Any = None
) -> Any:
    """Map given scores along an axis: weights, or with `grad` the gradient of the map in their place.

    The scores come as the bias of vectors without channels, and the result is the band.
    """
    shape = shape_of(scores)
    if 0 in shape:
        return shaped(allocate(shape, dtype_of(scores)), shape)
    scores, grad, mask = (None if x is None else as_rows(x, axis, len(shape)) for x in (scores, grad, mask))
    (*_, m, n), dtype = shape_of(scores), dtype_of(scores)
    empty = np.empty((m, 0), dtype), np.empty((n, 0), dtype)
    banded = Banded(problem(*empty, grad=grad, mask=mask, bias=scores, diagonal=None), 1.0)
    rule, numbers = rule_of_alpha(alpha, n, dtype, method, iterations)
    rows = (*banded.problem.batch, m, n)
    result = allocate(rows, dtype)
    everything = Band(0, banded.problem.members, 0, m, 0)
    banded.scores(everything, result)
    banded.normalize(rule, everything, result, *numbers, gradient=grad is not None)
    return with_axis_back(shaped(result, rows), shape, axis)


def entmax_attention(
    query: Any, key: Any, value: Any, *, alpha: float, scale: float | None, return_weights: bool, **options: Any
) -> Any:
    """Compute attention whose weights are the entmax of the scores."""
    if alpha == 1:
        return attend(Attention(rules.softmax, query, key, value, scale=scale, **options), return_weights)
    rule, numbers = rule_of_alpha(alpha, shape_of(key)[-2], dtype_of(query))
    return attend_rows(rule, query, key, value, *numbers, scale=scale, return_weights=return_weights, **options)
