"""Hopfield retrieval on Numba-CUDA: passes of attention that move the queries among the keys, then one that reads.

A move is attention with the keys in the place of the values: a pass of the tile for the softmax, bands of rows for any
other alpha. So the cost is `steps` times that of attention, bound as it is, and nothing of size (m, n) is kept.

With a tolerance, the weights of a step are compared with those of the step before, query by query. Then a band of
queries takes all its steps before the next band begins, with two bands of weights in scratch memory: those of this step
and of the one before. After each step the host looks whether a query still moves, and goes on to the next band if none
does.

Results differ from the reference by rounding only. Where a change is within rounding of the tolerance, a query may take
another number of steps.
"""

import functools
import math
from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult, RetrievalSteps, RetrievalWeightsSteps

from ..assemble import Assembly, product
from ..bands import Banded, bands
from ..operands import dtype_of, leading_axes, problem, shape_of
from ..rows import RowBlock, build_combine, default_row_block, plus
from ..rules import Real
from ..simplex import entmax_attention, rule_of_alpha
from ..target import allocate, cuda, kernel, launch, shaped, upload


@functools.cache
def build_advance(block: RowBlock, real: Real) -> Any:
    """Build the kernel that moves the queries of a band, unless their weights have come to rest.

    `band` has the weights of this step and `matrix` those of the one before; `source` is where a step leads, `target`
    where the queries are.
    """
    combine = build_combine(block, plus, plus, plus)
    across, threads = block.across, block.count
    board_shape = (3, block.down, block.across + 1)
    zero = real(0)

    def advance(
        first, block_count, m, n, d, diagonal, compares, tolerance, first_member, first_query, query_count,
        band, matrix, source, target, moving, taken,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        i = first_query + index % query_count
        row = (first_member + index // query_count) * m + i
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        moves = moving[row] != 0  # written again only after all have summed up, or as it was
        if compares:
            square = zero
            for j in range(t, max(0, min(n, i + diagonal + 1)), threads):
                change = band[index * n + j] - matrix[index * n + j]
                square += change * change
            square, _, _ = combine(board, square, zero, zero)
            if real(math.sqrt(square)) <= tolerance:  # a NaN never comes to rest
                moves = False
        if moves:
            for c in range(t, d, threads):
                target[row * d + c] = source[row * d + c]
        if t == 0:
            moving[row] = 1 if moves else 0
            if moves:
                taken[row] += 1

    return kernel(advance)


def _settled(
    query: Any, key: Any, *, steps: int, tol: float, alpha: float, scale: float | None, mask: Any, bias: Any,
    causal: bool,
) -> tuple[Any, Any]:  # fmt: skip
    """Return from where each query reads, and how many steps it has taken, on the device."""
    batch, (m, d), n = leading_axes(query, key, mask, bias), shape_of(query)[-2:], shape_of(key)[-2]
    states = Assembly(batch, m, d, dtype_of(query)).put(product, query)
    p = problem(states.matrix, key, key, mask=mask, bias=bias, diagonal=n - m if causal else None)
    p.memories[0] = states.memory  # what the moves change is what the scores read
    banded, block = Banded(p, 1 / math.sqrt(d) if scale is None else scale), default_row_block()
    rule, numbers = rule_of_alpha(alpha, n, p.dtype)
    cut = list(bands(p.members, m, n, p.block.own))
    size = (max((band.rows for band in cut), default=0), n)
    now, before, moved = allocate(size, p.dtype), allocate(size, p.dtype), allocate((*batch, m, d), p.dtype)
    moving, taken = (upload(np.ones(max(1, math.prod((*batch, m))), np.int64)) for _ in range(2))
    for band in cut:
        for step in range(1, steps):
            banded.scores(band, now)
            banded.normalize(rule, band, now, *numbers)
            banded.values(band, now, moved, None, selects=False)
            launch(
                build_advance(block, p.real), band.rows, block.threads,
                m, n, d, p.diagonal, int(step > 1), p.real(tol), *band.place,
                now, before, moved, states.memory, moving, taken,
            )  # fmt: skip
            now, before = before, now
            if step > 1 and not _any_moves(moving, band, m):
                break
    return states.matrix, taken


def _any_moves(moving: Any, band: Any, m: int) -> bool:
    rows = moving.copy_to_host().reshape(-1, max(m, 1))
    members, queries = rows[band.first_member :][: band.member_count], slice(band.first_query, None)
    return bool(members[:, queries][:, : band.query_count].any())


def hopfield_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    beta: float | None,
    steps: int,
    tol: float,
    alpha: float,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
    return_steps: bool,
) -> Any:
    """Compute `attlas_ref.hopfield_attention`."""
    options: dict[str, Any] = {"alpha": alpha, "scale": beta, "mask": mask, "bias": bias, "causal": causal}
    rows = (*leading_axes(query, key, mask, bias), shape_of(query)[-2])
    if tol > 0 and steps > 2:
        state, taken = _settled(query, key, steps=steps, tol=tol, **options)
    else:
        state, taken = moved(query, key, steps - 1, options), upload(np.full(max(1, math.prod(rows)), steps, np.int64))
    result = entmax_attention(state, key, value, return_weights=return_weights, **options)
    if not return_steps:
        return result
    if isinstance(result, AttentionResult):
        return RetrievalWeightsSteps(*result, shaped(taken, rows))
    return RetrievalSteps(result, shaped(taken, rows))


def moved(state: Any, key: Any, moves: int, options: dict[str, Any]) -> Any:
    """Return the states after some moves among the keys."""
    for _ in range(moves):
        state = entmax_attention(state, key, key, return_weights=False, **options)
    return state
