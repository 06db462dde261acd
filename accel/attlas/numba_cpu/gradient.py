"""The tile template backwards: gradients of softmax attention, with the weights computed again.

Nothing of size m × n is kept between the passes: the weights come back from the scores and the row statistics,
w = exp(s - maximum) / total. Two passes, and the second mirrors the first:

- over blocks of queries (lanes are queries), in two sweeps over the keys: the statistics maximum, total and
  mean = Σ_keys w <g, v>; then ds = w (<g, v> - mean) and grad_query = Σ_keys ds k;
- over blocks of keys (lanes are keys, every operand swapped): grad_key = Σ_queries ds q, grad_value = Σ_queries w g.

So every gradient row is summed by one thread in a fixed order, without atomics. <g, v> is the same sum to the last
bit wherever it is computed, and the mean is corrected for its own rounding: where one key has all the weight, or all
values are equal, <g, v> - mean is exactly 0. <g, out> in place of the mean would leave noise.

Bound by: multiply-adds, m n (5 d + 4 e) in all. Differs from the reference by rounding.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from .blocks import fill, hide, pack
from .compile import kernel, part
from .real import Real
from .tile import Score, build_parts, softmax
from .vector import multiply


class GradientKernels(NamedTuple):
    """Both passes; each is kernel(start, stop, operands, scratch, results) as in `tile`.

    The gradients still lack the derivative of a score by its dot product, a constant factor.
    """

    over_queries: Any
    """Results: shift, inverse and mean (batch, m), gradient (batch, m, d), and, unless its address is 0, that by the
    scores (batch, m, n), zero before."""
    over_keys: Any
    """Results: shift, inverse and mean as the first pass left them, the gradients of keys and of values."""


def build_gradient(name: str, real: Real, score: Score) -> GradientKernels:
    """Fill the template for a score that is linear in the dot product."""
    return GradientKernels(
        kernel(_build_over_queries(real, score), f"{name}-gradient-queries-{real.dtype}"),
        kernel(_build_over_keys(real, score), f"{name}-gradient-keys-{real.dtype}"),
    )


@cache
def build_begin(real: Real, score: Score) -> Any:
    begin = build_parts(real, score, False).begin
    zero = real.number(0)

    def begin_gradient(operands, scratch, task, blocks):
        """`begin`, and pack the lanes' side of <g, v>."""
        size, gradient = operands.size, operands.gradient
        member, first, used, lanes = begin(operands, scratch, task, blocks)
        at = gradient.places[member] + first * gradient.row
        pack(scratch.packed_gradient, gradient, at, used, lanes, size.e, zero)
        fill(scratch.grads, size.d * lanes, zero)
        fill(scratch.sums, size.e * lanes, zero)
        return member, first, used, lanes

    return part(begin_gradient, of=f"{score.__qualname__}, {real.dtype}")


def _weight_slopes(operands, scratch, member, lanes, row, rows):
    """slopes = <g, v> for a tile: the derivatives of the result by the weights."""
    size, value = operands.size, operands.value
    at = value.places[member] + row * value.row
    multiply(
        scratch.slopes, scratch.packed_gradient, value, at, value.row, value.column, rows, size.e, lanes, size.width,
        scratch.rescale,
    )  # fmt: skip


weight_slopes: Any = part(_weight_slopes)


@cache
def build_mean(real: Real) -> Any:
    """Make add_mean(scratch, lanes, rows), which brings the mean Σ w <g, v> up to date after a tile of weights."""
    zero, one = real.number(0), real.number(1)

    def add_mean(scratch, lanes, rows):
        """Bring the mean up to date: an estimate, and then what rounding left of Σ weight (<g, v> - estimate) / total.

        In gradients <g, v> - mean nearly vanishes where one key has nearly all the weight or all values are alike; the
        correction keeps it from being noise.
        """
        mean, total, before, rescale = scratch.mean, scratch.total, scratch.before, scratch.rescale
        line, estimate = scratch.line, scratch.estimate
        for lane in range(lanes):
            estimate[lane] = zero
            line[lane] = zero
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                estimate[lane] += scratch.scores[start + lane] * scratch.slopes[start + lane]
        for lane in range(lanes):
            divisor = one if total[lane] == zero else total[lane]
            estimate[lane] = (before[lane] * rescale[lane] * mean[lane] + estimate[lane]) / divisor
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                line[lane] += scratch.scores[start + lane] * (scratch.slopes[start + lane] - estimate[lane])
        for lane in range(lanes):
            rest = before[lane] * rescale[lane] * (mean[lane] - estimate[lane]) + line[lane]
            corrected = estimate[lane] + rest / (one if total[lane] == zero else total[lane])
            mean[lane] = corrected if estimate[lane] - estimate[lane] == zero else estimate[lane]

    return part(add_mean, of=str(real.dtype))


@cache
def build_lane_slopes(real: Real) -> Any:
    """Make slopes(scratch, lanes, rows, hidden): a tile of <g, v> becomes ds, where the lanes are queries."""
    zero, exp = real.number(0), real.exp

    def lane_slopes(scratch, lanes, rows, hidden):
        slope, shift, inverse, mean = scratch.slopes, scratch.shift, scratch.total, scratch.mean
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                weight = exp(scratch.scores[start + lane] - shift[lane]) * inverse[lane]
                slope[start + lane] = weight * (slope[start + lane] - mean[lane])
        if hidden:
            hide(slope, scratch.visible, rows * lanes, zero)

    return part(lane_slopes, of=str(real.dtype))


@cache
def build_row_slopes(real: Real) -> Any:
    """Make slopes(scratch, shift, inverse, mean, at, lanes, rows, hidden): scores become weights and <g, v> becomes
    ds, where the rows are queries with statistics from `at` on."""
    zero, exp = real.number(0), real.exp

    def row_slopes(scratch, shift, inverse, mean, at, lanes, rows, hidden):
        weights, slope = scratch.scores, scratch.slopes
        for row in range(rows):
            start = row * lanes
            row_shift, row_inverse, row_mean = shift[at + row], inverse[at + row], mean[at + row]
            for lane in range(lanes):
                weight = exp(weights[start + lane] - row_shift) * row_inverse
                weights[start + lane] = weight
                slope[start + lane] = weight * (slope[start + lane] - row_mean)
        if hidden:
            hide(weights, scratch.visible, rows * lanes, zero)
            hide(slope, scratch.visible, rows * lanes, zero)

    return part(row_slopes, of=str(real.dtype))


def _build_over_queries(real: Real, score: Score) -> Any:
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    _, scores, add_rows = build_parts(real, score, False)
    begin_gradient, advance = build_begin(real, score), softmax(real).step
    add_mean, slopes = build_mean(real), build_lane_slopes(real)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def over_queries(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        shift, inverse, mean = reals(results[0]), reals(results[1]), reals(results[2])
        grad, grad_scores = reals(results[3]), reals(results[4])
        size = operands.size
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin_gradient(operands, scratch, task, blocks)
            fill(scratch.maximum, lanes, -infinity)
            fill(scratch.shift, lanes, zero)
            fill(scratch.total, lanes, zero)
            fill(scratch.mean, lanes, zero)
            end = min(size.n, first + used + size.diagonal)
            for sweep in range(2):
                for row in range(0, end, size.keys):
                    rows = min(size.keys, end - row)
                    hidden = scores(operands, scratch, member, first, used, lanes, row, rows)
                    if hidden < 0:
                        continue
                    weight_slopes(operands, scratch, member, lanes, row, rows)
                    if sweep == 0:
                        for lane in range(lanes):
                            scratch.before[lane] = scratch.total[lane]
                        advance(operands, scratch, lanes, rows, hidden)
                        if hidden:
                            hide(scratch.slopes, scratch.visible, rows * lanes, zero)
                        add_mean(scratch, lanes, rows)
                        continue
                    slopes(scratch, lanes, rows, hidden)
                    add_rows(
                        operands, scratch, scratch.grads, scratch.slopes, operands.key, size.d, member, lanes, row,
                        rows, hidden,
                    )  # fmt: skip
                    if results[4]:
                        for lane in range(used):
                            target = (member * size.m + first + lane) * size.n + row
                            for r in range(rows):
                                grad_scores[target + r] = scratch.slopes[r * lanes + lane]
                if sweep == 0:
                    for lane in range(lanes):
                        scratch.total[lane] = one / (one if scratch.total[lane] == zero else scratch.total[lane])
                        scratch.rescale[lane] = one
            for lane in range(used):
                target = member * size.m + first + lane
                shift[target] = scratch.shift[lane]
                inverse[target] = scratch.total[lane]
                mean[target] = scratch.mean[lane]
                for column in range(size.d):
                    grad[target * size.d + column] = scratch.grads[column * lanes + lane]

    return over_queries


def _build_over_keys(real: Real, score: Score) -> Any:
    one = real.number(1)
    _, scores, add_rows = build_parts(real, score, False)
    begin_gradient, slopes = build_begin(real, score), build_row_slopes(real)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def over_keys(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        shift, inverse, mean = reals(results[0]), reals(results[1]), reals(results[2])
        grad, grad_value = reals(results[3]), reals(results[4])
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
                slopes(scratch, shift, inverse, mean, member * size.n + row, lanes, rows, hidden)
                add_rows(
                    operands, scratch, scratch.grads, scratch.slopes, operands.key, size.d, member, lanes, row, rows,
                    hidden,
                )  # fmt: skip
                add_rows(
                    operands, scratch, scratch.sums, scratch.scores, operands.value, size.e, member, lanes, row, rows,
                    hidden,
                )  # fmt: skip
            for lane in range(used):
                target = member * size.m + first + lane
                for column in range(size.d):
                    grad[target * size.d + column] = scratch.grads[column * lanes + lane]
                for column in range(size.e):
                    grad_value[target * size.e + column] = scratch.sums[column * lanes + lane]

    return over_keys
