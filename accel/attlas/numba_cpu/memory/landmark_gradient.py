"""Landmark attention backwards, with the weights computed again: nothing of size n × n is kept.

With <g, v> = g_ij, in row i, and r the weights within a block c of share p_c,

    D_c = Σ_c r_j g_ij,   μ = Σ_own p_j g_ij + Σ_c p_c D_c,
    ds_j = p_j (g_ij - μ) (own),   ds_j = p_c r_j (g_ij - D_c) (in c),   ds = p_c (D_c - μ) (the landmark of c).

Two passes over tiles of (keys, queries):

- over blocks of queries: the statistics shift, inverse and μ, and grad_query = Σ_keys ds k;
- over groups of whole blocks of keys: grad_key = Σ_queries ds q, grad_value = Σ_queries w g. What a softmax within a
  block needs is in its tile, so nothing has to be kept for pairs of queries and blocks.

So every row is summed by one thread in a fixed order. D and μ are corrected for their own rounding: where one key has
all the weight, or all values are alike, <g, v> - D must vanish.

Bound by: multiply-adds, n² (4 d + 3 e) / 2 of them; where blocks are longer than a tile their scores and <g, v> are
computed up to four times a pass. Differs from the reference by rounding.
"""

from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import AttentionVJP

from ..attention import dot_scale, kernels_of
from ..backward import Backward, softmax_gradients, sum_to_shape
from ..blocks import fill, pack
from ..compile import kernel
from ..dotproduct import build_softmax_gradient
from ..operands import Array, lay_out, over_queries, over_tasks
from ..pointers import moved, places_at
from ..real import Real
from ..tile import build_parts, scaled_score
from .landmark import Cut, keys_of_landmarks, own_scratch
from .landmark_gradient_keys import build_over_keys
from .landmark_groups import OWN, Groups, begins, ends, group_parts, inner_scratch, opener_of_lanes
from .landmark_slopes import slope_parts

__all__ = ["landmark_attention_vjp"]

KEYS_PER_GROUP = 256
"""About so many keys are a task of the second pass: the queries are packed once for all of them."""


class LandmarkGradient(NamedTuple):
    """Both passes; parameters (scale,). Results begin with shift, inverse and μ (batch, n)."""

    over_queries: Any
    """Then grad_query, the landmarks' places, the tokens' blocks, the number of landmarks."""
    over_keys: Any
    """Then grad_key and grad_value with padded rows, zero before, their widths; the three as above; the first block of
    each group, and how many groups there are."""


def build_landmark_gradient(real: Real) -> LandmarkGradient:
    """Make both passes. The gradients still lack the scale."""
    zero, one = real.number(0), real.number(1)
    begin, _, add_rows = build_parts(real, scaled_score)
    settle, open_block, open_lanes = group_parts(real).settle, group_parts(real).open_block, opener_of_lanes(real)
    settled, average, block_slopes, own_weights, own_slopes, door_slope = slope_parts(real)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def over_blocks(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        shifts, inverses, means, grad = reals(results[0]), reals(results[1]), reals(results[2]), reals(results[3])
        size, inner, own, grads = operands.size, inner_scratch(scratch), open_lanes(scratch_table), scratch.grads
        groups = Groups(places_at(results[4]), places_at(results[5]), results[6], size.n)
        block_means, mean, guess = (
            reals(scratch_table[OWN + 5]), reals(scratch_table[OWN + 6]), reals(scratch_table[OWN + 7])
        )  # fmt: skip
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            at = operands.gradient.places[member] + first * operands.gradient.row
            pack(scratch.packed_gradient, operands.gradient, at, used, lanes, size.e, zero)
            fill(grads, size.d * lanes, zero)
            closed = settle(operands, scratch, own, groups, member, first, used, lanes, -1)
            for index in range(closed):
                door, block_mean = moved(own.doors, index * lanes), moved(block_means, index * lanes)
                fill(block_mean, lanes, zero)
                hidden = open_block(operands, inner, scratch, own, groups, door, member, first, used, lanes, index)
                if hidden < 0:
                    continue
                block_row, end = begins(groups, index), ends(groups, index)
                average(operands, inner, scratch, block_mean, member, lanes, block_row, end)
                for row in range(block_row, end, size.keys):
                    rows, again = min(size.keys, end - row), end - block_row > size.keys
                    block_slopes(operands, inner, scratch, own, block_mean, member, lanes, row, rows, again)
                    add_rows(
                        operands, scratch, grads, scratch.slopes, operands.key, size.d, member, lanes, row, rows, hidden
                    )
            fill(scratch.rescale, lanes, one)
            fill(guess, lanes, zero)
            own_row, end = begins(groups, groups.block[first]), first + used
            for sweep in range(2):
                fill(mean, lanes, zero)
                for index in range(closed):
                    past = groups.landmarks[index] - first
                    door, block_mean = moved(own.doors, index * lanes), moved(block_means, index * lanes)
                    for lane in range(lanes):
                        mean[lane] += door_slope(scratch, own, door, block_mean, guess, past, lane)
                for row in range(own_row, end, size.keys):
                    rows = min(size.keys, end - row)
                    own_weights(operands, scratch, own, groups, member, first, lanes, row, rows)
                    own_slopes(scratch, guess, lanes, rows)
                    for i in range(rows):
                        for lane in range(lanes):
                            mean[lane] += scratch.slopes[i * lanes + lane]
                if sweep == 0:
                    for lane in range(lanes):
                        guess[lane] = mean[lane]
            for lane in range(lanes):
                settled(mean, guess, mean, lane)
            for row in range(own_row, end, size.keys):
                rows = min(size.keys, end - row)
                own_weights(operands, scratch, own, groups, member, first, lanes, row, rows)
                own_slopes(scratch, mean, lanes, rows)
                add_rows(operands, scratch, grads, scratch.slopes, operands.key, size.d, member, lanes, row, rows, 1)
            for corner in range(0, closed, size.keys):
                rows = min(size.keys, closed - corner)
                for r in range(rows):
                    past = groups.landmarks[corner + r] - first
                    door = moved(own.doors, (corner + r) * lanes)
                    block_mean = moved(block_means, (corner + r) * lanes)
                    for lane in range(lanes):
                        slope = door_slope(scratch, own, door, block_mean, mean, past, lane)
                        scratch.slopes[r * lanes + lane] = slope
                        scratch.visible[r * lanes + lane] = lane > past
                add_rows(
                    operands, scratch, grads, scratch.slopes, operands.extra, size.d, member, lanes, corner, rows, 1
                )
            for lane in range(used):
                target = member * size.m + first + lane
                shifts[target], inverses[target], means[target] = scratch.shift[lane], own.inverse[lane], mean[lane]
                for column in range(size.d):
                    grad[target * size.d + column] = grads[column * lanes + lane]

    return LandmarkGradient(
        kernel(over_blocks, f"landmark-gradient-queries-{real.dtype}"),
        build_over_keys(real),
    )


def _groups_of_blocks(cut: Cut) -> Array:
    """The first block of each task of the second pass, and one more: whole blocks, of about `KEYS_PER_GROUP` keys."""
    starts = np.concatenate([[0], cut.places + 1])  # of each block
    ends = np.append(cut.places + 1, len(cut.block))
    firsts, begun = [0], 0
    for index, end in enumerate(ends[:-1]):
        if end - begun >= KEYS_PER_GROUP:
            firsts.append(index + 1)
            begun = starts[index + 1]
    return np.array([*firsts, len(ends)], dtype=np.int64)


def landmark_attention_vjp(
    query: Array,
    key: Array,
    value: Array,
    grad_output: Array,
    *,
    is_landmark: Array,
    scale: float | None,
) -> AttentionVJP:
    """See `attlas_ref.memory.landmark_attention_vjp`."""
    dtype, factor, cut = query.dtype, dot_scale(scale, query), Cut.of(is_landmark)
    if not len(cut.places):
        plain = Backward(query, key, value, grad_output, None, None, 0, None, (factor, 1.0))
        kernels = kernels_of(build_softmax_gradient, dtype)
        result = softmax_gradients(plain, kernels, slope=factor, bias_slope=1.0, return_grad_bias=False)
        return AttentionVJP(*result[:3])
    problem = lay_out(
        query,
        key,
        value,
        mask=None,
        bias=None,
        extra=keys_of_landmarks(key, cut),
        diagonal=0,
        gradient=grad_output,
        parameters=(factor,),
    )
    size, landmarks, passes = problem.size, len(cut.places), kernels_of(build_landmark_gradient, dtype)
    statistics = tuple(problem.new(size.m) for _ in range(3))
    grad_query = problem.new(size.m, size.d)
    own = own_scratch(problem, landmarks)
    over_queries(
        problem, passes.over_queries, *statistics, grad_query, own=(*own, landmarks, 1, 1), numbers=cut.numbers()
    )
    wide, wide_value = (-(-width // size.width) * size.width for width in (size.d, size.e))
    grads = tuple(np.zeros((*problem.batch, size.n, width), dtype=dtype) for width in (wide, wide_value))
    starts = _groups_of_blocks(cut)
    over_tasks(
        problem,
        passes.over_keys,
        problem.members * (len(starts) - 1),
        *statistics,
        *grads,
        own=(*own, 1, 1, 1, wide, wide_value, max(wide, wide_value)),
        numbers=(wide, wide_value, *cut.numbers(), starts.__array_interface__["data"][0], len(starts) - 1),
    )
    with np.errstate(all="ignore"):
        return AttentionVJP(
            sum_to_shape(grad_query, query.shape) * dtype.type(factor),
            sum_to_shape(grads[0][..., : size.d], key.shape) * dtype.type(factor),
            sum_to_shape(grads[1][..., : size.e], value.shape),
        )
