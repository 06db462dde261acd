"""Hopfield retrieval until it rests: the band template, gone through once per step.

A query rests when its weights change by no more than a tolerance, so the weights of two steps must meet. A block of
queries therefore keeps its band of weights (see `band`), and that of the step before, while the states move in scratch;
a block whose queries all rest is done. A query that rests keeps the state that its weights came from: they are computed
again with the block, with the same bits.

Bound by: multiply-adds, steps taken · m n d + m n e, and the passes of the normalizer over the band. Two bands of at
most `BAND` bytes per thread; no array grows with m n. Differs from the reference by rounding; a change that equals the
tolerance up to rounding may count on either side.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import RetrievalSteps, RetrievalWeightsSteps

from ..attention import kernels_of, score_batch
from ..band import PASSES, band_lanes, put
from ..blocks import fill, hide
from ..compile import kernel, part
from ..operands import Array, lay_out, over_queries
from ..pointers import Scratch, places_at, tile_at
from ..real import Real
from ..simplex import Projection, chosen, for_each_projection
from ..tile import build_parts, scaled_score

OWN = len(Scratch._fields)
"""Where the kernel's own scratch begins in the table: whether a lane still moves, and the steps that it took."""


def build_retrieval(real: Real, projection: Projection) -> tuple[Any]:
    """Make the kernel of one map from scores to weights, alone in a tuple; parameters as the projection has them.

    Results: output (batch, m, e), weights (batch, m, n) or none, zero before; steps taken (batch, m), whole numbers;
    the tolerance; then the number of steps.
    """
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    begin, scores, add_rows = build_parts(real, scaled_score)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer
    normalize = projection.normalizer.normalize
    of = f"{projection.name}, {real.dtype}"

    def weigh(operands, scratch, member, first, used, lanes, rows):
        """Turn the queries into a band of weights; returns whether any pair is hidden."""
        size, hidden = operands.size, 0
        tracks = size.has_mask or size.diagonal < size.m + size.n
        for row in range(0, rows, size.keys):
            count = min(size.keys, rows - row)
            here = tile_at(scratch, row * lanes)
            unseen = scores(operands, here, member, first, used, lanes, row, count)
            hidden += unseen != 0
            if unseen < 0:
                fill(here.scores, count * lanes, -infinity)
            elif unseen == 0 and tracks:
                fill(here.visible, count * lanes, 1)
        normalize(operands, scratch, member, first, used, lanes, rows)
        if hidden:
            hide(scratch.scores, scratch.visible, rows * lanes, zero)
        return hidden

    def read(operands, scratch, sums, matrix, width, member, lanes, rows, hidden):
        """sums = the weighted sum of the rows of a matrix."""
        fill(sums, width * lanes, zero)
        fill(scratch.rescale, lanes, one)
        for row in range(0, rows if width else 0, operands.size.keys):
            count = min(operands.size.keys, rows - row)
            here = tile_at(scratch, row * lanes)
            add_rows(operands, here, sums, here.scores, matrix, width, member, lanes, row, count, hidden)

    def settle(scratch, moving, taken, tolerance, lanes, rows):
        """Count a step, and let those rest whose weights have hardly changed; returns how many still move."""
        tile, before, change = scratch.scores, scratch.slopes, scratch.line
        fill(change, lanes, zero)
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                difference = tile[start + lane] - before[start + lane]
                change[lane] += difference * difference
        left = zero
        for lane in range(lanes):
            taken[lane] += moving[lane]
            rests = np.sqrt(change[lane]) <= tolerance  # a NaN never comes to rest
            moving[lane] = zero if rests else moving[lane]
            left += moving[lane]
        return left

    weigh, read, settle = part(weigh, of), part(read, of), part(settle, of)

    def retrieve(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        moving, taken = reals(scratch_table[OWN]), reals(scratch_table[OWN + 1])
        output, weights, counts, limit = reals(results[0]), reals(results[1]), places_at(results[2]), reals(results[3])
        size = operands.size
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            rows = max(0, min(size.n, first + used + size.diagonal))
            for lane in range(lanes):
                moving[lane] = one if lane < used else zero
            fill(taken, lanes, one)
            hidden = weigh(operands, scratch, member, first, used, lanes, rows)
            for _ in range(1, results[4]):
                read(operands, scratch, scratch.grads, operands.key, size.d, member, lanes, rows, hidden)
                for column in range(size.d):
                    start_of_column = column * lanes
                    for lane in range(lanes):
                        at = start_of_column + lane
                        scratch.packed[at] = scratch.grads[at] if moving[lane] > zero else scratch.packed[at]
                for i in range(rows * lanes):
                    scratch.slopes[i] = scratch.scores[i]
                weigh(operands, scratch, member, first, used, lanes, rows)
                if settle(scratch, moving, taken, limit[0], lanes, rows) == zero:
                    break
            read(operands, scratch, scratch.sums, operands.value, size.e, member, lanes, rows, hidden)
            at = member * size.m + first
            put(output, at * size.e, size.e, scratch.sums, used, lanes, size.e)
            if results[1]:
                put(weights, at * size.n, size.n, scratch.scores, used, lanes, rows)
            for lane in range(used):
                counts[at + lane] = int(taken[lane])

    return (kernel(retrieve, f"retrieval-{projection.name}-{real.dtype}"),)


RETRIEVALS = for_each_projection(build_retrieval)


def retrieve(
    query: Array,
    key: Array,
    value: Array,
    *,
    beta: float,
    steps: int,
    tol: float,
    alpha: float,
    mask: Array | None,
    bias: Array | None,
    diagonal: int | None,
    return_weights: bool,
) -> RetrievalSteps | RetrievalWeightsSteps:
    """Move every query until it rests, or for so many steps."""
    make, parameters = chosen(alpha, query.dtype)
    (run,) = kernels_of(RETRIEVALS[make], query.dtype)
    own = score_batch(query, key, mask, bias)
    batch = np.broadcast_shapes(own, value.shape[:-2])

    def over(batch: tuple[int, ...], value: Array, weighs: bool) -> RetrievalWeightsSteps:
        problem = lay_out(
            query,
            key,
            value,
            mask=mask,
            bias=bias,
            diagonal=diagonal,
            batch=batch,
            parameters=(beta, *parameters),
            queries_per_block=band_lanes(key.shape[-2], query.dtype),
        )
        size = problem.size
        output, taken = problem.new(size.m, size.e), np.ones((*batch, size.m), dtype=np.int64)
        weights = np.zeros((*batch, size.m, size.n), dtype=query.dtype) if weighs else None
        tolerance = np.array([tol], dtype=query.dtype)
        over_queries(
            problem, run, output, weights, taken, tolerance, rows=size.n, per_pair=PASSES, own=(1, 1), numbers=(steps,)
        )
        return RetrievalWeightsSteps(output, weights, taken)

    result = over(batch, value, return_weights and batch == own)
    if batch != own:  # values have leading axes of their own: weights and steps are found without them
        _, weights, taken = over(own, np.empty((*value.shape[-2:-1], 0), dtype=value.dtype), return_weights)
        result = RetrievalWeightsSteps(result.output, weights, taken)
    return result if return_weights else RetrievalSteps(result.output, result.steps)
