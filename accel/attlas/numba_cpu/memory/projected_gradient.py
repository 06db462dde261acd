"""Gradients of attention whose weights are a sparse projection onto the simplex.

The passes of `gradient`, with the map of `simplex` in the place of the softmax: weights w, and u = w^(2 - alpha) where
w is not 0, so that ds = u (<g, v> - mean), mean = Σ u <g, v> / Σ u.

- over blocks of queries, each with its band of weights (see `band`): the numbers that a row of weights comes back from
  (largest score, threshold, factor), its mean, and grad_query = Σ_keys ds k;
- over blocks of keys (lanes are keys): grad_key = Σ_queries ds q, grad_value = Σ_queries w g, from the weights computed
  again by the same operations, so that the support is the same to the last key.

Bound by: multiply-adds, m n (4 d + 3 e) in all, and the sweeps for the threshold. Nothing of size m × n is kept.
Differs from the reference by rounding.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import AttentionVJP

from ..backward import Backward, sum_to_shape
from ..band import PASSES, band_lanes
from ..blocks import fill, hide
from ..compile import kernel, part
from ..gradient import GradientKernels, build_begin, weight_slopes
from ..operands import over_queries
from ..pointers import tile_at
from ..real import Real
from ..simplex import Projection, for_each_projection
from ..tile import build_parts, scaled_score


def build_projected_gradient(real: Real, projection: Projection) -> GradientKernels:
    """Make both passes for one projection, with its parameters.

    Results of the first: largest score, threshold, factor and mean (batch, m), gradient (batch, m, d). Of the second:
    these four as they are, the gradients of keys and of values. The gradients still lack the scale of the scores.
    """
    return GradientKernels(
        kernel(_build_over_queries(real, projection), f"{projection.name}-gradient-queries-{real.dtype}"),
        kernel(_build_over_keys(real, projection), f"{projection.name}-gradient-keys-{real.dtype}"),
    )


def _build_over_queries(real: Real, projection: Projection) -> Any:
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    _, scores, add_rows = build_parts(real, scaled_score)
    begin_gradient = build_begin(real, scaled_score)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer
    normalize, divide = projection.normalizer.normalize, projection.divide
    of = f"{projection.name}, {real.dtype}"
    slope = part(projection.normalizer.slope, of=f"queries, {of}", inline=True)

    def slopes(scratch, parameters, lanes, rows):
        """The band of weights becomes ds; its means stay in scratch.mean."""
        tile, given, total, mean = scratch.scores, scratch.slopes, scratch.total, scratch.mean
        fill(total, lanes, zero)
        fill(mean, lanes, zero)
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                weight = tile[start + lane]
                u = slope(weight, parameters) if weight != zero else zero  # a NaN stays
                tile[start + lane] = u
                total[lane] += u
                # Select: what is off the support may be anything.
                mean[lane] += u * given[start + lane] if weight != zero else zero
        for lane in range(lanes):
            mean[lane] /= one if total[lane] == zero else total[lane]
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                u = tile[start + lane]
                tile[start + lane] = u * (given[start + lane] - mean[lane]) if u != zero else zero

    slopes = part(slopes, of)

    def over_queries(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        largest, threshold, factor = reals(results[0]), reals(results[1]), reals(results[2])
        mean, grad = reals(results[3]), reals(results[4])
        size = operands.size
        blocks = (size.m + size.queries - 1) // size.queries
        tracks = size.has_mask or size.diagonal < size.m + size.n
        for task in range(start, stop):
            member, first, used, lanes = begin_gradient(operands, scratch, task, blocks)
            end = max(0, min(size.n, first + used + size.diagonal))
            hidden = 0
            for row in range(0, end, size.keys):
                rows = min(size.keys, end - row)
                here = tile_at(scratch, row * lanes)
                unseen = scores(operands, here, member, first, used, lanes, row, rows)
                hidden += unseen != 0
                if unseen < 0:
                    fill(here.scores, rows * lanes, -infinity)
                elif unseen == 0 and tracks:
                    fill(here.visible, rows * lanes, 1)
                weight_slopes(operands, here, member, lanes, row, rows)
            normalize(operands, scratch, member, first, used, lanes, end)
            target = member * size.m + first
            for lane in range(used):
                largest[target + lane] = scratch.maximum[lane]
                threshold[target + lane] = scratch.shift[lane]
                factor[target + lane] = scratch.total[lane] if divide else one
            if hidden:
                hide(scratch.scores, scratch.visible, end * lanes, zero)
            slopes(scratch, operands.parameters, lanes, end)
            fill(scratch.rescale, lanes, one)
            for row in range(0, end, size.keys):
                rows = min(size.keys, end - row)
                here = tile_at(scratch, row * lanes)
                add_rows(
                    operands, here, scratch.grads, here.scores, operands.key, size.d, member, lanes, row, rows, hidden
                )  # fmt: skip
            for lane in range(used):
                mean[target + lane] = scratch.mean[lane]
                for column in range(size.d):
                    grad[(target + lane) * size.d + column] = scratch.grads[column * lanes + lane]

    return over_queries


def _build_over_keys(real: Real, projection: Projection) -> Any:
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    _, scores, add_rows = build_parts(real, scaled_score)
    begin_gradient = build_begin(real, scaled_score)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer
    term, scale = projection.term, projection.factor
    of = f"{projection.name}, {real.dtype}"
    slope = part(projection.normalizer.slope, of=f"keys, {of}", inline=True)

    def center(tile, largest, at, parameters, lanes, rows):
        """As before the threshold was found; apart from what follows, so that the compiler rounds it alike."""
        for row in range(rows):
            start, shift = row * lanes, zero if largest[at + row] == -infinity else largest[at + row]
            for lane in range(lanes):
                tile[start + lane] = scale(parameters) * (tile[start + lane] - shift)

    def slopes(scratch, threshold, factor, mean, at, parameters, lanes, rows):
        """A tile of centered scores becomes weights, and that of <g, v> becomes ds."""
        tile, given = scratch.scores, scratch.slopes
        for row in range(rows):
            start = row * lanes
            row_threshold, row_factor, row_mean = threshold[at + row], factor[at + row], mean[at + row]
            for lane in range(lanes):
                z = tile[start + lane] - row_threshold
                weight = (zero if z <= zero else term(z, parameters)) * row_factor
                tile[start + lane] = weight
                u = slope(weight, parameters)
                given[start + lane] = u * (given[start + lane] - row_mean) if weight != zero else zero

    center, slopes = part(center, of), part(slopes, of)

    def over_keys(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        largest, threshold, factor = reals(results[0]), reals(results[1]), reals(results[2])
        mean, grad, grad_value = reals(results[3]), reals(results[4]), reals(results[5])
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
                at = member * size.n + row
                center(scratch.scores, largest, at, operands.parameters, lanes, rows)
                slopes(scratch, threshold, factor, mean, at, operands.parameters, lanes, rows)
                if hidden:
                    hide(scratch.scores, scratch.visible, rows * lanes, zero)
                    hide(scratch.slopes, scratch.visible, rows * lanes, zero)
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


GRADIENTS = for_each_projection(build_projected_gradient)


def projected_gradients(call: Backward, kernels: GradientKernels, *, slope: float) -> AttentionVJP:
    """Return the gradients of attention by a projection; `slope` is the derivative of a score by its dot product."""
    problem = call.by_queries(band_lanes(call.key.shape[-2], call.query.dtype))
    size = problem.size
    statistics = tuple(problem.new(size.m) for _ in range(4))
    grad_query, grad_key, grad_value = (
        problem.new(size.m, size.d),
        problem.new(size.n, size.d),
        problem.new(size.n, size.e),
    )
    over_queries(problem, kernels.over_queries, *statistics, grad_query, rows=size.n, per_pair=PASSES)
    over_queries(call.by_keys(), kernels.over_keys, *statistics, grad_key, grad_value)
    factor = problem.dtype.type(slope)
    return AttentionVJP(
        sum_to_shape(grad_query, call.query.shape) * factor,
        sum_to_shape(grad_key, call.key.shape) * factor,
        sum_to_shape(grad_value, call.value.shape),
    )
