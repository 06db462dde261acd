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
from ..compile import kernel, part
from ..operands import Array, Problem, over_tasks
from ..pointers import Matrix, Scratch
from ..real import Real
from ..tile import Kernels, build_parts, scaled_score
from ..vector import HOST, multiply_add_rows

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


def build_together(real: Real) -> Any:
    """Make the kernel for queries that are one block of rows.

    Queries and keys have changed places (size.m counts keys, size.n queries), `extra` are the values; parameters
    (scale, eps). Results: sums (batch, chunks, n, e) and totals (batch, chunks, n); then e, that in whole vectors, n in
    whole tiles, and the blocks in a chunk. Own scratch: values (lanes, padded e), sums (padded n, padded e), ones.
    """
    zero, one, infinity, exp = real.number(0), real.number(1), real.number(np.inf), real.exp
    begin, scores, _ = build_parts(real, scaled_score, False)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer
    of = f"competitive, {real.dtype}"

    def share(scratch, rows, lanes, eps):
        """Turn the scores of every lane into its shares, plus eps."""
        tile, shift, total = scratch.scores, scratch.shift, scratch.line
        fill(shift, lanes, -infinity)
        for row in range(rows):
            for lane in range(lanes):
                score = tile[row * lanes + lane]
                # A NaN is taken, and kept: nothing is larger than it.
                shift[lane] = score if (score > shift[lane]) | (score != score) else shift[lane]
        for lane in range(lanes):
            shift[lane] = zero if shift[lane] == -infinity else shift[lane]
            total[lane] = zero
        for row in range(rows):
            for lane in range(lanes):
                tile[row * lanes + lane] = exp(tile[row * lanes + lane] - shift[lane])
                total[lane] += tile[row * lanes + lane]
        for lane in range(lanes):
            total[lane] = one / (total[lane] if total[lane] != zero else one)
        for row in range(rows):
            for lane in range(lanes):
                tile[row * lanes + lane] = tile[row * lanes + lane] * total[lane] + eps

    def total_of(tile, at, count):
        total = zero
        for i in range(count):
            total += tile[at + i]
        return total

    def copy(rows, matrix, at, used, columns, width):
        """Set rows side by side, padded with zeros."""
        for row in range(used):
            start = at + row * matrix.row
            if matrix.column == 1:  # said, so that whole vectors move
                for column in range(columns):
                    rows[row * width + column] = matrix.memory[start + column]
            else:
                for column in range(columns):
                    rows[row * width + column] = matrix.memory[start + column * matrix.column]
            for column in range(columns, width):
                rows[row * width + column] = zero

    def add_seen(sums, tile, values, visible, rows, used, lanes, columns, width):
        """`multiply_add_rows` where a number that is not finite takes part only for the queries that see it."""
        for row in range(rows):
            for column in range(columns):
                total = zero
                for lane in range(used):
                    if visible[row * lanes + lane]:
                        total += tile[row * lanes + lane] * values[lane * width + column]
                sums[row * width + column] += total

    share, copy, add_seen = part(share, of), part(copy, of), part(add_seen, of)
    total_of = part(total_of, of, reassociate=True)

    def together(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        sums, totals, size, value = reals(results[0]), reals(results[1]), operands.size, operands.extra
        e, width, padded, per_chunk = results[2], results[3], results[4], results[5]
        values, sum_of = reals(scratch_table[OWN]), reals(scratch_table[OWN + 1])
        ones = reals(scratch_table[OWN + 2])
        tile, rows = scratch.scores, size.n
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
                hidden = scores(operands, scratch, member, first, used, lanes, 0, rows)
                if hidden < 0:
                    continue
                share(scratch, rows, lanes, operands.parameters[1])
                if hidden:
                    hide(tile, scratch.visible, rows * lanes, zero)
                for row in range(rows):
                    totals[task * rows + row] += total_of(tile, row * lanes, used)
                at = value.places[member] + first * value.row
                copy(values, value, at, used, e, width)
                if hidden and not all_finite(value, at, used, e):
                    add_seen(sum_of, tile, values, scratch.visible, rows, used, lanes, e, width)
                else:
                    for i in range(rows * lanes, padded * lanes):
                        tile[i] = zero
                    weights = Matrix(tile, value.places, lanes, 1)
                    multiply_add_rows(sum_of, values, weights, 0, lanes, 1, padded, used, width, size.width, ones)
            for row in range(rows):
                target = (task * rows + row) * e
                for column in range(e):
                    sums[target + column] = sum_of[row * width + column]

    return kernel(together, f"competitive-together-{real.dtype}")


def run_together(problem: Problem, e: int) -> Array:
    """Return the output (..., queries, e) of a problem in which keys and queries have changed places."""
    size = problem.size
    chunks = -(-size.m // (size.queries * BLOCKS_PER_CHUNK))
    width, padded = -(-e // size.width) * size.width, -(-size.n // HOST.narrow) * HOST.narrow
    sums, totals = problem.new(chunks, size.n, e), problem.new(chunks, size.n)
    lanes = -(-size.queries // size.width) * size.width
    over_tasks(
        problem,
        kernels_of(build_together, problem.dtype),
        problem.members * chunks,
        sums,
        totals,
        rows=padded,
        per_pair=e,
        own=(width, -(-padded * width // lanes), -(-width // lanes)),
        numbers=(e, width, padded, BLOCKS_PER_CHUNK),
    )
    total = totals.sum(axis=-2)[..., None]
    return sums.sum(axis=-3) / np.where(total == 0, 1, total)


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
            return run_together(problem, value.shape[-1])
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
