"""The band template: a block of queries holds its scores to *all* keys before they become weights.

Some maps from scores to weights need the whole row: a threshold that depends on all scores, the best few of them, a
count from the last key on. So the scores of one block of queries, the *band* (keys, lanes), are computed block of keys
after block of keys by the parts of `tile`; a `normalize` part turns them into weights where they stand, one query per
lane; then the weights meet the values as in `tile`.

Bound by: multiply-adds, m n (d + e) of them, and the passes of `normalize` over the band, a few operations per pair
each. The band of one thread is at most `BAND` bytes (it stays in the second-level cache) or one vector of lanes wide:
the longer the rows, the fewer queries share a block. No array grows with m n.
Work is split as in `tile`, one thread per block of queries; a lane never depends on its neighbors, so neither threads
nor the rest of the batch change a bit.
Differs from the reference by rounding.

A map of given scores is the same kernel with vectors of width 0 and the scores as bias: `mapped`.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import AttentionResult

from .attention import kernels_of, score_batch
from .blocks import fill, hide, pack
from .compile import kernel, part
from .operands import Array, lay_out, over_queries
from .pointers import tile_at
from .real import Real
from .tile import QUERIES_PER_BLOCK, build_parts, scaled_score
from .vector import lanes_of

BAND = 2**20
"""Bytes."""

PASSES = 64
"""What turning a score into a weight costs, in multiply-adds: to decide when threads pay."""

RUN = 64
"""Numbers that are summed before their sum is added to the rest, so that long rows lose little to rounding."""


class Normalizer(NamedTuple):
    """How the scores of a whole row become weights."""

    normalize: Any
    """normalize(operands, scratch, member, first, used, lanes, rows): scores in place to weights, hidden scores are
    -inf; what then stands in a hidden place does not matter."""
    selects: bool = False
    """Whether it hides keys itself, in `scratch.visible`."""
    slope: Any = None
    """slope(weight, parameters): u where the gradient of the map is u (g - Σ u g / Σ u), for weights above 0."""


class BandKernels(NamedTuple):
    """One formulation in one precision.

    Results: output (batch, m, e); weights (batch, m, n) or none, zero before; and for `mapped` gradients, whether the
    weights are to be gradients of the map in the place of weights.
    """

    real: Real
    forward: Any


def build_band(name: str, real: Real, normalizer: Normalizer) -> BandKernels:
    """Fill the template: `name` is unique in the engine; the first parameter is the scale."""
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    begin, scores, add_rows = build_parts(real, scaled_score, False)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer
    normalize, selects, slope = normalizer
    gradient = part(_build_gradient(real, slope), of=f"{name}, {real.dtype}") if slope is not None else None

    def forward(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        output, weights = reals(results[0]), reals(results[1])
        size, value = operands.size, operands.value
        blocks = (size.m + size.queries - 1) // size.queries
        tracks = selects or size.has_mask or size.diagonal < size.m + size.n
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            end = max(0, min(size.n, first + used + size.diagonal))
            hidden = int(selects)
            for row in range(0, end, size.keys):
                rows = min(size.keys, end - row)
                here = tile_at(scratch, row * lanes)
                unseen = scores(operands, here, member, first, used, lanes, row, rows)
                hidden += unseen != 0
                if unseen < 0:
                    fill(here.scores, rows * lanes, -infinity)
                elif unseen == 0 and tracks:
                    fill(here.visible, rows * lanes, 1)
            normalize(operands, scratch, member, first, used, lanes, end)
            if hidden:
                hide(scratch.scores, scratch.visible, end * lanes, zero)
            if gradient is not None and results[2]:
                gradient(operands, scratch, member, first, used, lanes, end)
            fill(scratch.sums, size.e * lanes, zero)
            fill(scratch.rescale, lanes, one)
            for row in range(0, end if size.e else 0, size.keys):
                rows = min(size.keys, end - row)
                here = tile_at(scratch, row * lanes)
                add_rows(
                    operands, here, scratch.sums, here.scores, value, size.e, member, lanes, row, rows, hidden
                )  # fmt: skip
            at = member * size.m + first
            put(output, at * size.e, size.e, scratch.sums, used, lanes, size.e)
            if results[1]:
                put(weights, at * size.n, size.n, scratch.scores, used, lanes, end)

    return BandKernels(real, kernel(forward, f"{name}-band-{real.dtype}"))


def _put(result, at, step, tile, used, lanes, rows):
    """Set the lanes of a tile (rows, lanes) under each other: result[lane, row] = tile[row, lane]."""
    for corner in range(0, rows, 128):  # so many lines of the cache at a time
        stop = min(rows, corner + 128)
        for lane in range(used):
            target = at + lane * step
            for row in range(corner, stop):
                result[target + row] = tile[row * lanes + lane]


put: Any = part(_put)


@cache
def centered(real: Real) -> Any:
    """Return center(scratch, lanes, rows, factor): scores become factor · (score - the largest of the row).

    A NaN is the largest of its row. A row that has only -inf is left as it is.
    """
    zero, infinity = real.number(0), real.number(np.inf)

    def center(scratch, lanes, rows, factor):
        tile, shift = scratch.scores, scratch.shift
        largest(scratch, lanes, rows, -infinity)
        for lane in range(lanes):
            shift[lane] = zero if scratch.maximum[lane] == -infinity else scratch.maximum[lane]
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                tile[start + lane] = factor * (tile[start + lane] - shift[lane])

    return part(center, of=str(real.dtype))


def _largest(scratch, lanes, rows, lowest):
    """The largest score of each lane."""
    tile, maximum = scratch.scores, scratch.maximum
    fill(maximum, lanes, lowest)
    for row in range(rows):
        start = row * lanes
        for lane in range(lanes):
            score = tile[start + lane]
            # A NaN is taken, and kept: nothing is larger than it.
            maximum[lane] = score if (score > maximum[lane]) | (score != score) else maximum[lane]


largest: Any = part(_largest)


@cache
def softmax_of_band(real: Real) -> Any:
    """Return softmax(scratch, lanes, rows): the band becomes its softmax along the rows, hidden scores being -inf."""
    zero, one = real.number(0), real.number(1)
    center, exp = centered(real), real.exp

    def softmax(scratch, lanes, rows):
        tile, total, lost = scratch.scores, scratch.total, scratch.line
        center(scratch, lanes, rows, one)
        fill(total, lanes, zero)
        fill(lost, lanes, zero)
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                weight = exp(tile[start + lane])
                tile[start + lane] = weight
                total[lane], lost[lane] = summed(total[lane], lost[lane], weight)
        share(scratch, lanes, rows, zero, one)

    return part(softmax, of=str(real.dtype))


def _summed(total, lost, number):
    """Add a number to a total as Kahan does: `lost` is what rounding has added too much so far.

    The weights of a long row may all be alike, and then rounding errs to the same side every time.
    """
    number = number - lost
    after = total + number
    return after, (after - total) - number


summed: Any = part(_summed, inline=True)


def _share(scratch, lanes, rows, zero, one):
    """Divide each lane by its total, where that is not 0."""
    tile, total = scratch.scores, scratch.total
    for lane in range(lanes):
        total[lane] = one / (one if total[lane] == zero else total[lane])
    for row in range(rows):
        start = row * lanes
        for lane in range(lanes):
            tile[start + lane] *= total[lane]


share: Any = part(_share)


def _build_gradient(real: Real, slope: Callable[[Any, Any], Any]) -> Any:
    zero, one = real.number(0), real.number(1)
    apply = part(slope, of=str(real.dtype), inline=True)

    def gradient(operands, scratch, member, first, used, lanes, rows):
        """The band of weights becomes u (g - Σ u g / Σ u) where a weight is above 0, and 0 elsewhere."""
        tile, given, grad = scratch.scores, scratch.slopes, operands.gradient
        total, mean, line, estimate = scratch.total, scratch.mean, scratch.line, scratch.estimate
        parameters = operands.parameters
        pack(given, grad, grad.places[member] + first * grad.row, used, lanes, rows, zero)
        fill(total, lanes, zero)
        fill(mean, lanes, zero)
        for corner in range(0, rows, RUN):
            fill(line, lanes, zero)
            fill(estimate, lanes, zero)
            for row in range(corner, min(rows, corner + RUN)):
                start = row * lanes
                for lane in range(lanes):
                    weight = tile[start + lane]
                    u = apply(weight, parameters) if weight > zero else zero
                    tile[start + lane] = u
                    line[lane] += u
                    # Select: what is off the support may be anything.
                    estimate[lane] += u * given[start + lane] if weight > zero else zero
            for lane in range(lanes):
                total[lane] += line[lane]
                mean[lane] += estimate[lane]
        for lane in range(lanes):
            mean[lane] /= one if total[lane] == zero else total[lane]
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                u = tile[start + lane]
                tile[start + lane] = u * (given[start + lane] - mean[lane]) if u > zero else zero

    return gradient


Build = Callable[[Real], BandKernels]


def band_lanes(rows: int, dtype: np.dtype[Any]) -> int:
    """How many queries share a block: whole vectors of them, at least one."""
    width = lanes_of(dtype)
    fitting = BAND // (max(rows, 1) * dtype.itemsize) // width * width
    return max(width, min(fitting, QUERIES_PER_BLOCK))


def attend_band(
    build: Build,
    query: Array,
    key: Array,
    value: Array,
    *parameters: float,
    return_weights: bool,
    mask: Array | None = None,
    bias: Array | None = None,
    diagonal: int | None = None,
    extra: Array | None = None,
    selects: bool = False,
) -> Any:
    """Compute a formulation of the band template: its output, and with `return_weights` its weights too."""
    own = score_batch(query, key, mask, bias, extra)
    options: dict[str, Any] = {
        "mask": mask,
        "bias": bias,
        "diagonal": diagonal,
        "extra": extra,
        "selects": selects,
        "parameters": parameters,
        "queries_per_block": band_lanes(key.shape[-2], query.dtype),
    }
    kernels = kernels_of(build, query.dtype)
    batch = np.broadcast_shapes(own, value.shape[:-2])
    problem = lay_out(query, key, value, batch=batch, **options)
    size = problem.size
    output = problem.new(size.m, size.e)
    weights = np.zeros((*own, size.m, size.n), dtype=query.dtype) if return_weights else None
    together = batch == own
    over_queries(problem, kernels.forward, output, weights if together else None, None, rows=size.n, per_pair=PASSES)
    if weights is None:
        return output
    if not together:  # values have leading axes of their own: the weights are computed without them
        problem = lay_out(query, key, np.empty((size.n, 0), dtype=query.dtype), batch=own, **options)
        over_queries(problem, kernels.forward, problem.new(size.m, 0), weights, None, rows=size.n, per_pair=PASSES)
    return AttentionResult(output, weights)


def mapped(
    build: Build, scores: Array, *parameters: float, axis: int, mask: Array | None, gradient: Array | None = None
) -> Array:
    """Map the rows of given scores, whatever axis they run along: weights, or with `gradient` its gradient."""
    shape = scores.shape
    rows = _as_rows(scores, axis)
    weights = np.zeros(rows.shape, dtype=scores.dtype)
    m, n = rows.shape
    problem = lay_out(
        np.empty((m, 0), dtype=scores.dtype),
        np.empty((n, 0), dtype=scores.dtype),
        np.empty((n, 0), dtype=scores.dtype),
        mask=None if mask is None else _as_rows(np.broadcast_to(mask, shape), axis),
        bias=rows,
        gradient=None if gradient is None else _as_rows(gradient, axis),
        diagonal=None,
        parameters=(1.0, *parameters),
        queries_per_block=band_lanes(n, scores.dtype),
    )
    over_queries(
        problem,
        kernels_of(build, scores.dtype).forward,
        np.empty((m, 0), dtype=scores.dtype),
        weights,
        gradient if gradient is None else weights,
        rows=n,
        per_pair=PASSES,
    )
    turned = np.moveaxis(scores, axis, -1).shape
    return np.moveaxis(weights.reshape(turned), -1, axis)


def _as_rows(array: Array, axis: int) -> Array:
    """View an array as a matrix whose rows run along an axis; copied only if its strides allow no view."""
    turned = np.moveaxis(array, axis, -1)
    return turned.reshape(math.prod(turned.shape[:-1]), turned.shape[-1])
