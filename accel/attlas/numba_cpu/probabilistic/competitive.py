"""Competitive attention: a softmax along the queries, then a mean along the keys.

Queries that fit one block of rows, slots for instance, need one pass: lanes are keys, so a key's softmax goes down its
lane, and the shares times the values are then summed with columns of the values as lanes. Chunks of keys are tasks of
their own, whose sums are added. More queries take the two passes of `columns`.

Bound by: m n (d + e) multiply-adds and m n exponentials beside n (d + e) numbers read once: turning keys so that they
are lanes, and reading, cost as much as the products of seven queries.
Differs from the reference by rounding: a share is multiplied by one over the total of its column, and the sums are
divided, not the weights.
"""

from typing import Any

import numpy as np

from ..attention import attend, dot_scale, kernels_of, lay_out_scores
from ..blocks import all_finite, fill, hide
from ..columns import columns_of, receivers, transposed
from ..compile import kernel
from ..operands import Array, Problem, over_tasks
from ..pointers import Matrix, Scratch
from ..real import Real
from ..side_by_side import row_parts
from ..tile import Kernels, build_parts, scaled_score, softmax
from ..vector import HOST
from .normal_rows import normal_parts
from .transport import build_parts as transport_parts

__all__ = ["competitive_attention"]

OWN = len(Scratch._fields)

BLOCKS_PER_CHUNK = 8
"""Some hundred keys: a few thousand are work for several threads."""


def build_competitive(real: Real) -> Kernels:
    """Sum the values of what was won; parameters (scale, eps), `extra` (n, 2): each key's shift and 1 / total."""
    zero, one, exp = real.number(0), real.number(1), real.exp

    def share(score, shift, factor, parameters):
        return exp(score - shift) * factor + parameters[1]

    def own_total(total, parameters):
        return one if total == zero else total

    return receivers("competitive", real, share, own_total)


def build_together(real: Real, normalized: bool) -> Any:
    """Make the kernel for queries that are one block of rows.

    Queries and keys have changed places (size.m counts keys, size.n queries), `extra` are the values; parameters
    (scale, eps). Results: sums (batch, chunks, n, e) and totals (batch, chunks, n); what is added to the scores of each
    query (batch, n); then e, that in whole vectors, n in whole tiles, and the blocks in a chunk. Own scratch: values
    (lanes, padded e), sums (padded n, padded e), ones. With `normalized` keys and values are the same rows, which are
    given mean 0 and variance 1 where they have been packed; each is hidden from all queries or from none.
    """
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    center, take_normalized = normal_parts(real)
    begin, scores, _ = build_parts(real, scaled_score, False)
    exponentials, total_of, (take, add) = softmax(real).step, transport_parts(real).total, row_parts(real)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def together(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        sums, totals, size, value = reals(results[0]), reals(results[1]), operands.size, operands.extra
        added, e, width, padded, per_chunk = reals(results[2]), results[3], results[4], results[5], results[6]
        values, sum_of = reals(scratch_table[OWN]), reals(scratch_table[OWN + 1])
        ones = reals(scratch_table[OWN + 2])
        tile, rows, eps = scratch.scores, size.n, operands.parameters[1]
        mean, factor = scratch.mean, scratch.lane_squares
        blocks = (size.m + size.queries - 1) // size.queries
        chunks = (blocks + per_chunk - 1) // per_chunk
        fill(ones, width, one)
        for task in range(start, stop):
            chunk = task % chunks
            fill(sum_of, padded * width, zero)
            for row in range(rows):
                totals[task * rows + row] = zero
            for block in range(chunk * per_chunk, min(blocks, (chunk + 1) * per_chunk)):
                member, first, used, lanes = begin(operands, scratch, task // chunks * blocks + block, blocks)
                if normalized:
                    center(scratch.packed, mean, factor, size.d, lanes)
                hidden = scores(operands, scratch, member, first, used, lanes, 0, rows)
                if hidden < 0:
                    continue
                if normalized:
                    for row in range(rows):
                        plus = added[member * rows + row]
                        for lane in range(lanes):
                            tile[row * lanes + lane] = tile[row * lanes + lane] * factor[lane] + plus
                fill(scratch.maximum, lanes, -infinity)
                fill(scratch.total, lanes, zero)
                exponentials(operands, scratch, lanes, rows, hidden)
                for lane in range(lanes):
                    scratch.line[lane] = one / (scratch.total[lane] if scratch.total[lane] != zero else one)
                for row in range(rows):
                    for lane in range(lanes):
                        tile[row * lanes + lane] = tile[row * lanes + lane] * scratch.line[lane] + eps
                if hidden:
                    hide(tile, scratch.visible, rows * lanes, zero)
                for row in range(rows):
                    totals[task * rows + row] += total_of(tile, row * lanes, used)
                at = value.places[member] + first * value.row
                if normalized:
                    take_normalized(values, value, at, used, e, width, mean, factor)
                else:
                    take(values, value, at, used, e, width)
                for i in range(rows * lanes, padded * lanes):
                    tile[i] = zero
                finite = hidden == 0 or all_finite(Matrix(values, value.places, width, 1), 0, used, e)
                taken = padded if finite else rows
                add(
                    sum_of, tile, scratch.visible, taken, used, lanes, values, width, size.width, ones, value.places,
                    finite,
                )  # fmt: skip
            for row in range(rows):
                target = (task * rows + row) * e
                for column in range(e):
                    sums[target + column] = sum_of[row * width + column]

    return kernel(together, f"competitive-together-{'normalized-' if normalized else ''}{real.dtype}")


def build_of_given(real: Real) -> Any:
    """Make the kernel for keys and values as they are."""
    return build_together(real, normalized=False)


def build_of_normalized(real: Real) -> Any:
    """Make the kernel for rows that it gives mean 0 and variance 1."""
    return build_together(real, normalized=True)


def run_together(problem: Problem, e: int, added: Array | None = None) -> tuple[Array, Array]:
    """Compute a problem in which keys and queries have changed places.

    Returns
    -------
    output : array (..., queries, e)
        Zeros for a query that won nothing.
    total : array (..., queries, 1)
        What it won altogether.
    """
    size = problem.size
    chunks = -(-size.m // (size.queries * BLOCKS_PER_CHUNK))
    width, padded = -(-e // size.width) * size.width, -(-size.n // HOST.narrow) * HOST.narrow
    sums, totals = problem.new(chunks, size.n, e), problem.new(chunks, size.n)
    lanes = -(-size.queries // size.width) * size.width
    over_tasks(
        problem,
        kernels_of(build_of_given if added is None else build_of_normalized, problem.dtype),
        problem.members * chunks,
        sums,
        totals,
        added,
        rows=padded,
        per_pair=e,
        own=(width, -(-padded * width // lanes), -(-width // lanes)),
        numbers=(e, width, padded, BLOCKS_PER_CHUNK),
    )
    total = totals.sum(axis=-2)[..., None]
    return sums.sum(axis=-3) / np.where(total == 0, 1, total), total


def competitive_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    eps: float,
    scale: float | None,
    mask: Array | None,
    bias: Array | None,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.probabilistic.competitive_attention`."""
    scale = dot_scale(scale, query)
    if not return_weights:
        turned = {"mask": transposed(mask), "bias": transposed(bias)}
        problem = lay_out_scores(key, query, **turned, extra=value, order=-1, diagonal=None, parameters=(scale, eps))
        if problem.size.n <= problem.size.keys and problem.late_bias is None:
            return run_together(problem, value.shape[-1])[0]
    shift, total = columns_of(query, key, scale, mask=mask, bias=bias, diagonal=None)
    return attend(
        build_competitive,
        query,
        key,
        value,
        scale,
        eps,
        mask=mask,
        bias=bias,
        causal=False,
        return_weights=return_weights,
        extra=np.stack(np.broadcast_arrays(shift, 1 / total), axis=-1).astype(query.dtype, copy=False),
    )
