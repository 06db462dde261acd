"""Additive attention that sees its own past, on Numba-CUDA: one step after the other, all keys of a step at once.

A block of threads has a batch member. The projected keys come with their features one below the other, so that
neighboring threads read neighboring keys; each thread keeps the coverage of its own keys.

Bound by operations: m n a hyperbolic tangents, about twenty instructions each, and the m steps that follow each other,
each with a few barriers; there are as many blocks as the batch has members. Memory beside the results: a row of weights
for each member, unless the weights are asked for.
Differs from the reference by rounding only. `b_v` is left out: a softmax forgets what all its scores have in common.
"""

import functools
import math
from typing import Any

import numpy as np

from attlas_ref.contract import with_extras

from ..learned import multiplied, projected
from ..operands import dtype_of, lay_out, leading_axes, shape_of
from ..pieces import BIAS, COLUMN_STEP, EXTRA, FIRST_MEMBER, GRAD, KEY, QUERY, ROW_STEP, VALUE, entry, larger, sees
from ..probabilistic.teams import CROWD, Team, build_agree
from ..rows import plus
from ..rules import Real
from ..target import allocate, cuda, kernel, launch, shaped
from ..views import as_column, as_row, once, spread, transposed
from .distribution import compared

ZEROS, UNIFORM, GIVEN = range(3)
"""The coverage before the first step."""


@functools.cache
def build_coverage(team: Team, real: Real) -> Any:
    """Build the kernel.

    The usual rows of operands have: queries (m, a), keys (a, n), values (n, e), the coverage at first (1, n), the mask,
    what coverage adds to a feature (1, a), and the weight of a feature (1, a). Row i of `matrix` is that of step
    i % kept_rows; there is no output where e is 0.
    """
    highest, summed = build_agree(team, real, larger), build_agree(team, real, plus)
    board_shape, across, threads = team.board, team.across, team.count
    zero, one, lowest = real(0), real(1), real(-math.inf)

    def coverage_steps(
        first, block_count, m, n, a, e, query, key, value, source, mask, taps, extra, layout, scale, beginning,
        kept_rows, states, matrix, output,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        batch = first + cuda.blockIdx.x
        if batch >= block_count:
            return
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        count = zero
        for j in range(t, n, threads):
            number = zero
            if beginning == GIVEN:
                number = entry(source, layout, GRAD, batch, 0, j)
            elif beginning == UNIFORM and m > 0 and sees(mask, layout, batch, 0, j, n):
                number = one
                count += one
            states[batch * n + j] = number
        count = summed(board, count)
        if beginning == UNIFORM and count > zero:
            for j in range(t, n, threads):
                states[batch * n + j] /= count
        for i in range(m):
            row = (batch * kept_rows + i % kept_rows) * n
            asked = layout[QUERY, FIRST_MEMBER + batch] + i * layout[QUERY, ROW_STEP]
            top = lowest
            for j in range(t, n, threads):
                number = lowest
                if sees(mask, layout, batch, i, j, n):
                    so_far = states[batch * n + j]
                    offered = layout[KEY, FIRST_MEMBER + batch] + j * layout[KEY, COLUMN_STEP]
                    total = zero
                    for c in range(a):
                        x = query[asked + c * layout[QUERY, COLUMN_STEP]] + key[offered + c * layout[KEY, ROW_STEP]]
                        added = so_far * entry(taps, layout, BIAS, batch, 0, c)
                        total += entry(extra, layout, EXTRA, batch, 0, c) * real(math.tanh(x + added))
                    number = scale * total
                matrix[row + j] = number
                top = larger(top, number)
            top = highest(board, top)
            shift = zero if top == lowest else top
            mass = zero
            for j in range(t, n, threads):
                number = matrix[row + j]
                weight = zero if number == lowest else real(math.exp(number - shift))
                matrix[row + j] = weight
                mass += weight
            mass = summed(board, mass)
            divisor = one if mass == zero else mass
            for j in range(t, n, threads):
                weight = zero
                if sees(mask, layout, batch, i, j, n):
                    weight = matrix[row + j] / divisor
                matrix[row + j] = weight
                states[batch * n + j] += weight
            cuda.syncthreads()  # until the weights are complete
            for channel in range(t, e, threads):
                total = zero
                for j in range(n):
                    weight = matrix[row + j]
                    if weight != zero or sees(mask, layout, batch, i, j, n):
                        total += weight * entry(value, layout, VALUE, batch, j, channel)
                output[(batch * m + i) * e + channel] = total
            cuda.syncthreads()  # until nobody reads them any more

    return kernel(coverage_steps)


def coverage_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    w_query: Any,
    w_key: Any,
    b_key: Any,
    w_coverage: Any,
    b_coverage: Any,
    v: Any,
    b_v: float,
    scale: float,
    initial: Any,
    mask: Any,
    return_weights: bool,
    return_coverage: bool,
) -> Any:
    """Compute `attlas_ref.coverage_attention`."""
    dtype, m, (n, e) = dtype_of(query), shape_of(query)[-2], shape_of(value)[-2:]
    real: Any = dtype.type
    queries = projected(query, w_query)
    # W_kᵀ kᵀ: a row per feature. What is added to the keys is the same for all of them.
    keys = multiplied(transposed(w_key), once(key), None if b_key is None else as_column(b_key))
    keys = spread(keys, np.broadcast_shapes(shape_of(key)[:-2], shape_of(keys)[:-2]))
    if b_coverage is not None:
        queries = compared(queries, None, b_coverage)
    beginning = GIVEN if not isinstance(initial, str) else UNIFORM if initial == "uniform" else ZEROS
    nothing = np.zeros((1, 1), dtype)
    first = as_row(initial) if beginning == GIVEN else nothing
    visible = np.ones((1, 1), bool) if mask is None else mask
    leading = leading_axes(queries, keys, first, mask)
    batch = np.broadcast_shapes(leading, shape_of(value)[:-2])

    def scan(own: tuple[int, ...], e: int, kept: bool) -> tuple[Any, Any, Any]:
        read = value if e else nothing
        memories, layout = lay_out([queries, keys, read, first, visible, as_row(w_coverage), as_row(v)], own)
        rows = max(m, 1) if kept else 1
        states, matrix = allocate((*own, n), dtype), allocate((*own, rows, n), dtype)
        output = allocate((*own, m, e), dtype)
        launch(
            build_coverage(CROWD, real), math.prod(own), CROWD.block.threads,
            m, n, shape_of(queries)[-1], e, *memories, layout, real(scale), beginning, rows, states, matrix, output,
        )  # fmt: skip
        return output, matrix, states

    alone = batch == leading
    output, matrix, states = scan(batch, e, kept=return_weights and alone)
    if not alone and (return_weights or return_coverage):  # values have leading axes of their own
        _, matrix, states = scan(leading, 0, kept=return_weights)
    return with_extras(
        shaped(output, (*batch, m, e)),
        weights=shaped(matrix, (*leading, m, n)) if return_weights else None,
        coverage=shaped(states, (*leading, n)) if return_coverage else None,
    )
