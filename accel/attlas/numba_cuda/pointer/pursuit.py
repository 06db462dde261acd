"""Orthogonal matching pursuit on Numba-CUDA: an orthonormal basis of what has been chosen grows column by column.

A block of threads has a problem. A thread meets the residual with a feature of its own, so that neighbors read
neighboring columns; the other vectors are dealt out in turns, and their products are summed over the block. The
coefficients are found at the end, by substitution in the triangle of a QR factorization.

Bound by bytes of the features, k times 4 N d of them in single precision, where a batch has problems enough to fill the
GPU; else by the k steps, each of N additions in a row and some dozen barriers. Memory: k N numbers per problem.
Differs from the reference by rounding, and where rounding decides a choice; coefficients of columns that depend on each
other but for rounding are 0 from the second one on.
"""

import functools
import math
from typing import Any

import numpy as np

from attlas_ref.contract import SelectionResult

from ..operands import dtype_of, lay_out, shape_of
from ..pieces import COLUMN_STEP, FIRST_MEMBER, ROW_STEP, larger
from ..probabilistic.sums import better
from ..probabilistic.teams import CROWD, Team, build_agree
from ..rows import plus
from ..rules import Real
from ..target import allocate, cuda, device_using_cuda, kernel, launch, shaped
from ..views import as_row

FEATURES, TARGET = range(2)
"""The rows of the table of operands."""


@functools.cache
def build_best(team: Team, real: Real) -> Any:
    """Build best_of(board, found, match, at, d): the first of the largest of d numbers, the same for all threads."""
    highest = build_agree(team, real, larger)
    across, threads = team.across, team.count
    lowest = real(-math.inf)

    @device_using_cuda
    def best_of(board, found, match, at, d):
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        top = lowest
        place = d
        for j in range(t, d, threads):
            if place == d or better(match[at + j], top):
                top = match[at + j]
                place = j
        largest = highest(board, top)
        found[t] = place if top == largest or top != top else d
        cuda.syncthreads()  # until all have said theirs
        for k in range(threads):
            place = found[k] if k == 0 else min(place, found[k])
        cuda.syncthreads()  # until all have read them
        return place

    return best_of


@functools.cache
def build_pursuit(team: Team, real: Real) -> Any:
    """Build the kernel. Room for each problem: `states` (2, N) for the residual and a column, `scores` (d), `field`
    (k, N) for the basis, `factors` (k, k) for the triangle, `sums` (k). No coefficients are made if `wanted` is 0."""
    summed, best_of = build_agree(team, real, plus), build_best(team, real)
    board_shape, across, threads = team.board, team.across, team.count
    zero, one = real(0), real(1)
    tiny = real(8 * float(np.finfo(real).eps))

    @device_using_cuda
    def dot(board, left, left_at, right, right_at, count):
        total = zero
        for i in range(cuda.threadIdx.y * across + cuda.threadIdx.x, count, threads):
            total += left[left_at + i] * right[right_at + i]
        return summed(board, total)

    def pursuit(
        first, block_count, count, d, k, source, target, layout, wanted, states, scores, field, factors, sums, order,
        output,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        found = cuda.shared.array(threads, np.int64)
        batch = first + cuda.blockIdx.x
        if batch >= block_count:
            return
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        residual = batch * 2 * count
        column = residual + count
        match, basis, triangle = batch * d, batch * k * count, batch * k * k
        start = layout[FEATURES, FIRST_MEMBER + batch]
        row_step = layout[FEATURES, ROW_STEP]
        column_step = layout[FEATURES, COLUMN_STEP]
        for i in range(t, count, threads):
            at = layout[TARGET, FIRST_MEMBER + batch] + i * layout[TARGET, COLUMN_STEP]
            states[residual + i] = target[at]
        for s in range(k):
            cuda.syncthreads()  # until the residual is complete
            for j in range(t, d, threads):
                total = zero
                for i in range(count):
                    total += states[residual + i] * source[start + i * row_step + j * column_step]
                total = abs(total)
                for before in range(s):
                    if order[batch * k + before] == j:
                        total = -one
                scores[match + j] = total
            best = best_of(board, found, scores, match, d)
            if t == 0:
                order[batch * k + s] = best
            own = basis + s * count
            for i in range(t, count, threads):
                states[column + i] = source[start + i * row_step + best * column_step]
            length = real(math.sqrt(dot(board, states, column, states, column, count)))
            for turn in range(2):  # once leaves parts as large as rounding
                for before in range(s):
                    share = dot(board, field, basis + before * count, states, column, count)
                    for i in range(t, count, threads):
                        states[column + i] -= share * field[basis + before * count + i]
                    if t == 0:
                        made = triangle + before * k + s
                        factors[made] = share if turn == 0 else factors[made] + share
            rest = real(math.sqrt(dot(board, states, column, states, column, count)))
            dependent = rest <= tiny * length  # a NaN is not
            for i in range(t, count, threads):
                field[own + i] = zero if dependent else states[column + i] / rest
            part = dot(board, field, own, states, residual, count)
            for i in range(t, count, threads):
                states[residual + i] -= part * field[own + i]
            if t == 0:
                factors[triangle + s * k + s] = zero if dependent else rest
                sums[batch * k + s] = part
        if wanted:
            for j in range(t, d, threads):
                output[batch * d + j] = zero
            cuda.syncthreads()  # until there are zeros everywhere
            if t == 0:
                for s in range(k - 1, -1, -1):
                    rest = sums[batch * k + s]
                    for after in range(s + 1, k):
                        rest -= factors[triangle + s * k + after] * output[batch * d + order[batch * k + after]]
                    pivot = factors[triangle + s * k + s]
                    output[batch * d + order[batch * k + s]] = zero if pivot == zero else rest / pivot

    return kernel(pursuit)


def orthogonal_matching_pursuit(features: Any, target: Any, *, k: int, return_coefficients: bool) -> Any:
    """Compute `attlas_ref.orthogonal_matching_pursuit`."""
    dtype, (count, d) = dtype_of(features), shape_of(features)[-2:]
    real: Any = dtype.type
    row = as_row(target)
    batch = np.broadcast_shapes(shape_of(features)[:-2], shape_of(row)[:-2])
    memories, layout = lay_out([features, row], batch)
    order, output = allocate((*batch, k), np.dtype(np.int64)), allocate((*batch, d), dtype)
    room = [allocate((*batch, *core), dtype) for core in ((2, count), (d,), (k, count), (k, k), (k,))]
    launch(
        build_pursuit(CROWD, real), math.prod(batch), CROWD.block.threads,
        count, d, k, *memories, layout, int(return_coefficients), *room, order, output,
    )  # fmt: skip
    chosen = shaped(order, (*batch, k))
    return SelectionResult(chosen, shaped(output, (*batch, d))) if return_coefficients else chosen
