"""Sparsemax and entmax: rows of scores onto the simplex, with exact zeros.

All are p_j = [x_j - t]₊^(1/(alpha - 1)), with x = (alpha - 1)(score - the largest), once the threshold t is known for
which they sum to 1. It is found without sorting, by Newton's method on N(t) = (Σ [x_j - t]₊^p)^(1/p), p = 1/(alpha-1):
for alpha <= 2 this is a norm of a vector of convex functions, so convex and falling. From t = -1, where N >= 1, Newton
climbs to the root without ever passing it and needs about 6 sweeps over the row, never more than some tens, whatever
the scores. For alpha 2 a step is the closed form on the current support, hence exact when the support stands still;
N is linear in t for a single score, so that few large ones are found at once.

For alpha > 2 the sum is not convex: there, and when few bisections are asked for, the threshold is bisected as in the
reference, up to the point where halving changes nothing.

Bound by: the sweeps over the band, a few operations per score (and a logarithm and an exponential for general alpha).
Differs from the reference by rounding. A lane whose threshold has been found is left alone while others go on.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .attention import attend, causal_diagonal, dot_scale
from .band import (
    RUN,
    Normalizer,
    attend_band,
    build_band,
    centered,
    mapped,
    share,
    softmax_of_band,
    summed,
)
from .blocks import fill
from .compile import part
from .dotproduct import build_softmax
from .operands import Array
from .power import powers_of
from .real import Real

K = TypeVar("K")

SWEEPS = 100
"""Newton's steps at most. Each makes the product of what the sum exceeds 1 by and of the slope at least four times
smaller, so some tens suffice for any row."""

NEWTON, SOFTMAX = 0.0, -1.0
"""The last parameter of the general kernel; a number above 0 is how often to bisect."""


class Projection(NamedTuple):
    """One map onto the simplex: weight = term(factor · (score - the largest) - threshold) / total."""

    name: str
    normalizer: Normalizer
    """Leaves the largest score of each lane in `scratch.maximum`, the threshold in `scratch.shift` and, with `divide`,
    1 / total in `scratch.total`."""
    factor: Any
    """factor(parameters)"""
    term: Any
    """term(z, parameters) for z > 0"""
    divide: bool


def _newton(real: Real, of: str, terms: Any, step: Any) -> Any:
    """Make threshold(operands, scratch, lanes, rows): finds t, one per lane, in `scratch.shift`.

    terms(z, parameters) = (z^p, z^(p - 1)) for z > 0; step(total, slope, parameters): how far t moves, given the sums
    of these.
    """
    zero, one, unit = real.number(0), real.number(1), real.number(np.finfo(real.dtype).eps)

    def threshold(operands, scratch, lanes, rows):
        tile, shift, moving = scratch.scores, scratch.shift, scratch.before
        total, slope, line, estimate = scratch.total, scratch.mean, scratch.line, scratch.estimate
        parameters = operands.parameters
        fill(shift, lanes, -one)
        fill(moving, lanes, one)
        for _ in range(SWEEPS):
            fill(total, lanes, zero)
            fill(slope, lanes, zero)
            for corner in range(0, rows, RUN):
                fill(line, lanes, zero)
                fill(estimate, lanes, zero)
                for row in range(corner, min(rows, corner + RUN)):
                    start = row * lanes
                    for lane in range(lanes):
                        z = tile[start + lane] - shift[lane]
                        high, low = terms(z, parameters)
                        line[lane] += high if z > zero else zero
                        estimate[lane] += low if z > zero else zero
                for lane in range(lanes):
                    total[lane] += line[lane]
                    slope[lane] += estimate[lane]
            left = zero
            for lane in range(lanes):
                move = step(total[lane], slope[lane], parameters)
                # Nothing above the threshold, or a NaN: there is nothing to find.
                move = move if (abs(move) <= one) & (moving[lane] > zero) else zero
                shift[lane] += move
                moving[lane] = one if move > unit * abs(shift[lane]) else zero
                left += moving[lane]
            if left == zero:
                break

    return part(threshold, of=f"{of}, {real.dtype}")


def _finish(real: Real, of: str, term: Any, divide: bool) -> Any:
    """Make finish(operands, scratch, lanes, rows): the weights, given the thresholds."""
    zero, one = real.number(0), real.number(1)

    def finish(operands, scratch, lanes, rows):
        tile, shift, total, lost = scratch.scores, scratch.shift, scratch.total, scratch.line
        parameters = operands.parameters
        fill(total, lanes, zero)
        fill(lost, lanes, zero)
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                z = tile[start + lane] - shift[lane]
                weight = zero if z <= zero else term(z, parameters)  # a NaN stays
                tile[start + lane] = weight
                total[lane], lost[lane] = summed(total[lane], lost[lane], weight)
        if divide:
            share(scratch, lanes, rows, zero, one)

    return part(finish, of=f"{of}, {real.dtype}")


@cache
def onto_sparsemax(real: Real) -> Projection:
    """Alpha 2; parameters (scale,)."""
    zero, one = real.number(0), real.number(1)
    center = centered(real)

    def terms(z, parameters):
        return z, one

    def step(total, slope, parameters):
        return (total - one) / slope

    def itself(z, parameters):
        return z

    def factor(parameters):
        return one

    def slope(weight, parameters):
        return one

    of = str(real.dtype)
    itself = part(itself, of, inline=True)
    threshold = _newton(real, "sparsemax", part(terms, of, inline=True), part(step, of, inline=True))
    finish = _finish(real, "sparsemax", itself, divide=False)

    def polish(scratch, lanes, rows):
        """One more step, with an exact sum: here the weights are not divided by theirs."""
        tile, shift, total = scratch.scores, scratch.shift, scratch.total
        count, lost = scratch.mean, scratch.line
        fill(total, lanes, zero)
        fill(lost, lanes, zero)
        fill(count, lanes, zero)
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                z = tile[start + lane] - shift[lane]
                inside = z > zero
                total[lane], lost[lane] = summed(total[lane], lost[lane], z if inside else zero)
                count[lane] += one if inside else zero
        for lane in range(lanes):
            shift[lane] += (total[lane] - one) / count[lane] if count[lane] > zero else zero

    polish = part(polish, of)

    def normalize(operands, scratch, member, first, used, lanes, rows):
        center(scratch, lanes, rows, one)
        threshold(operands, scratch, lanes, rows)
        polish(scratch, lanes, rows)
        finish(operands, scratch, lanes, rows)

    normalizer = Normalizer(part(normalize, of), slope=slope)
    return Projection("sparsemax", normalizer, part(factor, of, inline=True), itself, divide=False)


@cache
def onto_entmax15(real: Real) -> Projection:
    """Alpha 1.5; parameters (scale,)."""
    one, half = real.number(1), real.number(0.5)
    center = centered(real)

    def terms(z, parameters):
        return z * z, z

    def step(total, slope, parameters):
        length = np.sqrt(total)
        return (length - one) * (length / slope)

    def square(z, parameters):
        return z * z

    def factor(parameters):
        return half

    def slope(weight, parameters):
        return np.sqrt(weight)

    of = str(real.dtype)
    square = part(square, of, inline=True)
    threshold = _newton(real, "entmax15", part(terms, of, inline=True), part(step, of, inline=True))
    finish = _finish(real, "entmax15", square, divide=True)

    def normalize(operands, scratch, member, first, used, lanes, rows):
        center(scratch, lanes, rows, half)
        threshold(operands, scratch, lanes, rows)
        finish(operands, scratch, lanes, rows)

    normalizer = Normalizer(part(normalize, of), slope=slope)
    return Projection("entmax15", normalizer, part(factor, of, inline=True), square, divide=True)


@cache
def onto_entmax(real: Real) -> Projection:
    """Any alpha; parameters (scale, alpha - 1, 1/(alpha - 1), NEWTON, SOFTMAX or the number of bisections).

    In a softmax the projection is the normalizer alone.
    """
    number = real.number
    zero, one, half = number(0), number(1), number(0.5)
    center, softmax, power = centered(real), softmax_of_band(real), powers_of(real).power

    def terms(z, parameters):
        low = power(z, parameters[2] - one)
        return low * z, low

    def step(total, slope, parameters):
        length = power(total, parameters[1])
        return (length - one) / length * (total / slope)

    def powered(z, parameters):
        return power(z, parameters[2])

    def factor(parameters):
        return parameters[1]

    def slope(weight, parameters):
        return power(weight, one - parameters[1]) if parameters[3] >= zero else weight

    of = str(real.dtype)
    powered = part(powered, of, inline=True)
    newton = _newton(real, "entmax", part(terms, of, inline=True), part(step, of, inline=True))
    finish = _finish(real, "entmax", powered, divide=True)

    def bisect(operands, scratch, lanes, rows):
        tile, shift, total, line = scratch.scores, scratch.shift, scratch.total, scratch.line
        low, high = scratch.mean, scratch.before
        parameters = operands.parameters
        fill(low, lanes, -one)
        fill(high, lanes, -power(number(max(operands.size.n, 1)), -parameters[1]))
        for lane in range(lanes):
            shift[lane] = (low[lane] + high[lane]) * half
        for _ in range(int(parameters[3])):
            fill(total, lanes, zero)
            for corner in range(0, rows, RUN):
                fill(line, lanes, zero)
                for row in range(corner, min(rows, corner + RUN)):
                    start = row * lanes
                    for lane in range(lanes):
                        z = tile[start + lane] - shift[lane]
                        line[lane] += powered(z, parameters) if z > zero else zero
                for lane in range(lanes):
                    total[lane] += line[lane]
            left = zero
            for lane in range(lanes):
                middle = shift[lane]
                low[lane] = middle if total[lane] >= one else low[lane]
                high[lane] = high[lane] if total[lane] >= one else middle
                shift[lane] = (low[lane] + high[lane]) * half
                # Once the middle is one of the ends it remains so.
                left += one if (shift[lane] > low[lane]) & (shift[lane] < high[lane]) else zero
            if left == zero:
                break

    bisect = part(bisect, of)

    def normalize(operands, scratch, member, first, used, lanes, rows):
        parameters = operands.parameters
        if parameters[3] < zero:
            softmax(scratch, lanes, rows)
            return
        center(scratch, lanes, rows, parameters[1])
        if parameters[3] > zero:
            bisect(operands, scratch, lanes, rows)
        else:
            newton(operands, scratch, lanes, rows)
        finish(operands, scratch, lanes, rows)

    normalizer = Normalizer(part(normalize, of), slope=slope)
    return Projection("entmax", normalizer, part(factor, of, inline=True), powered, divide=True)


def chosen(
    alpha: float, dtype: np.dtype[Any], method: str = "auto", iterations: int = 60
) -> tuple[Callable[[Real], Projection], tuple[float, ...]]:
    """Return what makes the projection for an alpha, and its parameters after the scale."""
    if method != "bisect" and alpha in (1.5, 2):
        return (onto_sparsemax if alpha == 2 else onto_entmax15), ()
    if alpha == 1:
        return onto_entmax, (0.0, 1.0, SOFTMAX)
    # With so many bisections the threshold is as sharp as the precision allows, and Newton is faster.
    sharp = iterations > np.finfo(dtype).nmant + 4
    return onto_entmax, (alpha - 1, 1 / (alpha - 1), NEWTON if alpha <= 2 and sharp else float(iterations))


def for_each_projection(
    build: Callable[[Real, Projection], K],
) -> dict[Callable[[Real], Projection], Callable[[Real], K]]:
    """Return a builder of kernels for each projection, by what makes the projection."""
    return {
        make: (lambda real, make=make: build(real, make(real)))  # type: ignore[misc]
        for make in (onto_sparsemax, onto_entmax15, onto_entmax)
    }


BANDS = for_each_projection(lambda real, projection: build_band(projection.name, real, projection.normalizer))


def sparsemax(scores: Array, *, axis: int, mask: Array | None) -> Array:
    """See `attlas_ref.normalizers.sparsemax`."""
    return mapped(BANDS[onto_sparsemax], scores, axis=axis, mask=mask)


def sparsemax_vjp(scores: Array, grad_output: Array, *, axis: int, mask: Array | None) -> Array:
    """See `attlas_ref.normalizers.sparsemax_vjp`."""
    return mapped(BANDS[onto_sparsemax], scores, axis=axis, mask=mask, gradient=grad_output)


def entmax(scores: Array, *, alpha: float, axis: int, mask: Array | None, method: str, iterations: int) -> Array:
    """See `attlas_ref.normalizers.entmax`."""
    make, parameters = chosen(alpha, scores.dtype, method, iterations)
    return mapped(BANDS[make], scores, *parameters, axis=axis, mask=mask)


def entmax_vjp(scores: Array, grad_output: Array, *, alpha: float, axis: int, mask: Array | None) -> Array:
    """See `attlas_ref.normalizers.entmax_vjp`."""
    make, parameters = chosen(alpha, scores.dtype)
    return mapped(BANDS[make], scores, *parameters, axis=axis, mask=mask, gradient=grad_output)


def sparsemax_attention(query: Array, key: Array, value: Array, **options: Any) -> Any:
    """See `attlas_ref.normalizers.sparsemax_attention`."""
    return entmax_attention(query, key, value, alpha=2.0, **options)


def entmax_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    alpha: float,
    scale: float | None,
    causal: bool,
    **options: Any,
) -> Any:
    """See `attlas_ref.normalizers.entmax_attention`."""
    scale = dot_scale(scale, query)
    if alpha == 1:
        return attend(build_softmax, query, key, value, scale, 1.0, causal=causal, **options)
    make, parameters = chosen(alpha, query.dtype)
    diagonal = causal_diagonal(causal, query, key)
    return attend_band(BANDS[make], query, key, value, scale, *parameters, diagonal=diagonal, **options)
