"""Attention by a truncated exponential, pair by pair: the form for few keys, and for gradients beside it.

The tile template with the weight f_p(s) = Σ_{l <= p} s^l / l!, p a parameter. A tile is raised to the polynomial by
Horner's rule, one power at a time over the whole tile: that is a loop of vector instructions, whatever p.

Bound by: multiply-adds, m n (d + e + p), for the gradients m n (4 d + 3 e + 3 p). Differs from the reference by
rounding. Sums of weights of odd order may cancel; gradients therefore take <g, v> relative to that of the first key
that a query sees, which is exact where all are equal.
"""

from functools import cache
from typing import Any, NamedTuple

from ..blocks import fill, hide
from ..compile import kernel, part
from ..gradient import build_begin, weight_slopes
from ..real import Real
from ..tile import Kernels, Weighting, build, build_parts, scaled_score
from .forward import OWN


@cache
def build_raise(real: Real) -> Any:
    """Make raise_to(out, scores, count, order): out = f_order(scores), 0 for order -1."""
    zero, one, number = real.number(0), real.number(1), real.number

    def raise_to(out, scores, count, order):
        fill(out, count, zero if order < 0 else one)
        for power in range(order, 0, -1):
            inverse = one / number(power)
            for i in range(count):
                out[i] = one + scores[i] * inverse * out[i]

    return part(raise_to, of=str(real.dtype))


@cache
def polynomial(real: Real) -> Weighting:
    """Return the weighting f_p(score); parameters (scale, p). The maximum of a query that has seen a key is 0."""
    zero, one, number = real.number(0), real.number(1), real.number
    raise_to, of = build_raise(real), str(real.dtype)

    def step(operands, scratch, lanes, rows, hidden):
        tile, scores, line, count = scratch.scores, scratch.slopes, scratch.line, rows * lanes
        for i in range(count):
            scores[i] = tile[i]
        raise_to(tile, scores, count, int(operands.parameters[1]))
        if hidden:
            hide(tile, scratch.visible, count, zero)
        fill(line, lanes, zero)
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                line[lane] += tile[start + lane]
        for lane in range(lanes):
            scratch.rescale[lane] = one
            scratch.total[lane] += line[lane]
        for row in range(rows if hidden else 1):
            start = row * lanes
            for lane in range(lanes):
                seen = hidden == 0 or scratch.visible[start + lane] != 0
                scratch.maximum[lane] = zero if seen else scratch.maximum[lane]

    def weigh(score, shift, parameters):
        total = one
        for power in range(int(parameters[1]), 0, -1):
            total = one + score * (one / number(power)) * total
        return total

    return Weighting(part(step, f"polynomial, {of}"), part(weigh, f"polynomial, {of}", inline=True))


def build_polynomial(real: Real) -> Kernels:
    """Truncated exponentials of scaled dot products; parameters (scale, order)."""
    return build("polynomial", real, scaled_score, polynomial(real))


class PolynomialGradientKernels(NamedTuple):
    """Both passes in one precision; each is kernel(start, stop, operands, scratch, results) as in `tile`.

    The gradients of queries and keys still lack the scale. Both need a tile of scratch of their own.
    """

    over_queries: Any
    """Results: inverse of the total and mean of <g, v> (batch, m), gradient (batch, m, d). With a third parameter that
    is not 0, the first two are given: those of longer rows."""
    over_keys: Any
    """Results: inverse and mean as the first pass left them, the gradients of keys and of values."""


def build_polynomial_gradients(real: Real) -> PolynomialGradientKernels:
    """Gradients of `build_polynomial`, with the same parameters and a third, see the first pass."""
    return PolynomialGradientKernels(
        kernel(_build_over_queries(real), f"polynomial-gradient-queries-{real.dtype}"),
        kernel(_build_over_keys(real), f"polynomial-gradient-keys-{real.dtype}"),
    )


def _build_over_queries(real: Real) -> Any:
    zero, one = real.number(0), real.number(1)
    _, scores, add_rows = build_parts(real, scaled_score)
    begin_gradient, raise_to = build_begin(real, scaled_score), build_raise(real)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def add_statistics(scratch, weights, lanes, rows, hidden):
        """Add up the weights, and the weighted distances of <g, v> from that of the first key seen."""
        slopes, first, seen = scratch.slopes, scratch.estimate, scratch.before
        if hidden:
            hide(weights, scratch.visible, rows * lanes, zero)
            hide(slopes, scratch.visible, rows * lanes, zero)
        for lane in range(lanes):
            row = 0
            while row < rows and seen[lane] == zero:
                if hidden == 0 or scratch.visible[row * lanes + lane]:
                    seen[lane], first[lane] = one, slopes[row * lanes + lane]
                row += 1
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                scratch.total[lane] += weights[start + lane]
                scratch.mean[lane] += weights[start + lane] * (slopes[start + lane] - first[lane])

    add_statistics = part(add_statistics, of=str(real.dtype))

    def over_queries(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        inverse, mean, grad = reals(results[0]), reals(results[1]), reals(results[2])
        weights, order = reals(scratch_table[OWN]), int(operands.parameters[1])
        size = operands.size
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin_gradient(operands, scratch, task, blocks)
            target = member * size.m + first
            fill(scratch.total, lanes, zero)
            fill(scratch.mean, lanes, zero)
            fill(scratch.before, lanes, zero)
            fill(scratch.estimate, lanes, zero)
            fill(scratch.rescale, lanes, one)
            end = min(size.n, first + used + size.diagonal)
            given = operands.parameters[2] != zero
            if given:
                for lane in range(used):
                    scratch.total[lane], scratch.mean[lane] = inverse[target + lane], mean[target + lane]
            for sweep in range(1 if given else 0, 2):
                for row in range(0, end, size.keys):
                    rows = min(size.keys, end - row)
                    hidden = scores(operands, scratch, member, first, used, lanes, row, rows)
                    if hidden < 0:
                        continue
                    weight_slopes(operands, scratch, member, lanes, row, rows)
                    if sweep == 0:
                        raise_to(weights, scratch.scores, rows * lanes, order)
                        add_statistics(scratch, weights, lanes, rows, hidden)
                        continue
                    raise_to(weights, scratch.scores, rows * lanes, order - 1)
                    for r in range(rows):
                        for lane in range(lanes):
                            i = r * lanes + lane
                            slope = scratch.slopes[i] - scratch.mean[lane]
                            scratch.slopes[i] = weights[i] * scratch.total[lane] * slope
                    if hidden:
                        hide(scratch.slopes, scratch.visible, rows * lanes, zero)
                    add_rows(
                        operands, scratch, scratch.grads, scratch.slopes, operands.key, size.d, member, lanes, row,
                        rows, hidden,
                    )  # fmt: skip
                if sweep == 0:
                    for lane in range(lanes):
                        scratch.total[lane] = one / scratch.total[lane] if scratch.before[lane] != zero else one
                        scratch.mean[lane] = scratch.estimate[lane] + scratch.mean[lane] * scratch.total[lane]
            for lane in range(used):
                inverse[target + lane], mean[target + lane] = scratch.total[lane], scratch.mean[lane]
                for column in range(size.d):
                    grad[(target + lane) * size.d + column] = scratch.grads[column * lanes + lane]

    return over_queries


def _build_over_keys(real: Real) -> Any:
    zero, one = real.number(0), real.number(1)
    _, scores, add_rows = build_parts(real, scaled_score)
    begin_gradient, raise_to = build_begin(real, scaled_score), build_raise(real)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def over_keys(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        inverse, mean, grad, grad_value = reals(results[0]), reals(results[1]), reals(results[2]), reals(results[3])
        weights, order = reals(scratch_table[OWN]), int(operands.parameters[1])
        size = operands.size
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin_gradient(operands, scratch, task, blocks)
            fill(scratch.rescale, lanes, one)
            for row in range(max(0, first - size.diagonal), size.n, size.keys):
                rows = min(size.keys, size.n - row)
                hidden = scores(operands, scratch, member, first, used, lanes, row, rows)
                if hidden < 0:
                    continue
                weight_slopes(operands, scratch, member, lanes, row, rows)
                raise_to(weights, scratch.scores, rows * lanes, order - 1)
                at = member * size.n + row
                for r in range(rows):
                    for lane in range(lanes):
                        i = r * lanes + lane
                        scratch.slopes[i] = weights[i] * inverse[at + r] * (scratch.slopes[i] - mean[at + r])
                raise_to(weights, scratch.scores, rows * lanes, order)
                for r in range(rows):
                    for lane in range(lanes):
                        weights[r * lanes + lane] *= inverse[at + r]
                if hidden:
                    hide(weights, scratch.visible, rows * lanes, zero)
                    hide(scratch.slopes, scratch.visible, rows * lanes, zero)
                add_rows(
                    operands, scratch, scratch.grads, scratch.slopes, operands.key, size.d, member, lanes, row, rows,
                    hidden,
                )  # fmt: skip
                add_rows(
                    operands, scratch, scratch.sums, weights, operands.value, size.e, member, lanes, row, rows, hidden
                )
            for lane in range(used):
                target = member * size.m + first + lane
                for column in range(size.d):
                    grad[target * size.d + column] = scratch.grads[column * lanes + lane]
                for column in range(size.e):
                    grad_value[target * size.e + column] = scratch.sums[column * lanes + lane]

    return over_keys
