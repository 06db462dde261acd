"""Combiner-Fixed: the own block key by key, the others in groups.

The sequence is a grid of blocks, one per row. A task is all rows of a sequence, one after the other: what stands for a
row and what it holds are computed while it is read for its own queries, and rows behind it find them in the nearest
cache. Where there are fewer sequences than threads, tasks are rows, and groups are computed before. A row whose group
holds finite numbers alone has none that are not, so its hidden pairs need no care.

Bound by: multiply-adds, n (block + n / block)(d + e), and reading and writing every number once. No array is larger
than n (d + e) numbers but the weights, if asked for. Differs from the reference by rounding.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult

from ...threads import get_num_threads
from ..attention import dot_scale, kernels_of, score_batch
from ..blocks import unpack
from ..compile import kernel, part
from ..dense import dot_score
from ..operands import Array, lay_out, over_tasks
from ..pointers import Matrix
from ..real import Real
from ..tile import build_parts, from_nothing, softmax
from ..vector import multiply, multiply_add
from .groups import MEMBERS, in_one_piece, summarized, summary_of
from .pieces import CAUSAL_QUERIES, Piece, flat, grid, shares, weighted

__all__ = ["combiner_fixed_attention"]


def combiner_fixed_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    block: int,
    causal: bool,
    summary: str,
    scale: float | None,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.probabilistic.combiner_fixed_attention`."""
    scale, n = dot_scale(scale, query), query.shape[-2]
    q, k, v = (grid(x, block) for x in (query, key, value))
    rows = n // block
    output = flat(_computed(q, k, v, scale, causal, summary))
    if not return_weights:
        return output
    # Values may have leading axes that no weight has.
    none = np.empty((rows, block, 0), dtype=value.dtype)
    group_key, group_value = (x[..., None, :, :] for x in summarized(q, k, none, scale, summary))
    own = Piece(q, k, none, diagonal=0 if causal else None)
    groups = Piece(q, group_key, group_value, mask=np.tri(rows, k=-1, dtype=bool)[:, None] if causal else None)
    direct, met = weighted([own, groups], scale)  # (..., rows, block, block), (..., rows, block, rows)
    inner = shares(q, k, scale, summary)[..., None, None, :, :]  # (..., 1, 1, rows, block)
    whole = met[..., None] * inner  # (..., rows, block, rows, block)
    if causal:
        # Selected, not multiplied by 0: what a group holds is not felt by queries that do not meet it.
        whole = np.where(np.tri(rows, k=-1, dtype=bool)[:, None, :, None], whole, 0)
    each = np.arange(rows)
    whole[..., each, :, each, :] += np.moveaxis(direct, -3, 0)
    return AttentionResult(output, whole.reshape(*whole.shape[:-4], n, n))


def build_fixed(real: Real) -> Any:
    """Make the kernel; parameters (scale, 1).

    Results: the output (batch, rows, block, e), keys (batch, rows, d) and values (batch, rows, e) of groups; then the
    number of rows, of those in a task, whether their groups are still to be computed, whether means stand for these,
    and whether rows meet earlier groups only, else all.
    """
    zero, one = real.number(0), real.number(1)
    enter, step, (begin, scores, add_rows) = from_nothing(real), softmax(real).step, build_parts(real, dot_score)
    summarize, open_operands, open_scratch, reals = (
        summary_of(real), real.open_operands, real.open_scratch, real.pointer,
    )  # fmt: skip

    def meet(operands, scratch, keys, values, member, lanes, groups):
        """Add groups to what the queries of a block have met, from those of a member on."""
        size, scale, places = operands.size, operands.parameters[0], operands.query.places
        for row in range(0, groups, size.keys):
            rows, group = min(size.keys, groups - row), member + row
            multiply(
                scratch.scores, scratch.packed, Matrix(keys, places, size.d, 1), group * size.d, size.d, 1, rows,
                size.d, lanes, size.width, scratch.rescale,
            )  # fmt: skip
            for i in range(rows * lanes):
                scratch.scores[i] *= scale
            step(operands, scratch, lanes, rows, 0)
            multiply_add(
                scratch.sums, scratch.scores, Matrix(values, places, size.e, 1), group * size.e, 1, size.e, size.e,
                rows, lanes, size.width, scratch.rescale,
            )  # fmt: skip

    def meet_own(operands, scratch, member, first, used, lanes, seen, end, finite):
        size, value = operands.size, operands.value
        for row in range(seen, end, size.keys):
            rows = min(size.keys, end - row)
            hidden = scores(operands, scratch, member, first, used, lanes, row, rows)
            if hidden < 0:
                continue
            step(operands, scratch, lanes, rows, hidden)
            if finite:
                multiply_add(
                    scratch.sums, scratch.scores, value, value.places[member] + row * value.row, value.column,
                    value.row, size.e, rows, lanes, size.width, scratch.rescale,
                )  # fmt: skip
            else:
                add_rows(
                    operands, scratch, scratch.sums, scratch.scores, value, size.e, member, lanes, row, rows, hidden
                )

    meet, meet_own = part(meet, str(real.dtype)), part(meet_own, str(real.dtype))

    def fixed(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        output, keys, values, size = reals(results[0]), reals(results[1]), reals(results[2]), operands.size
        lines, together, fresh, mean, causal = results[3], results[4], results[5], results[6] != 0, results[7] != 0
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            members = range(task * together, (task + 1) * together)
            if fresh and not causal:
                for member in members:
                    summarize(operands, scratch, keys, values, member, mean)
            for member in members:
                if fresh and causal:
                    summarize(operands, scratch, keys, values, member, mean)
                strange = zero
                for c in range(size.e):
                    strange += values[member * size.e + c] - values[member * size.e + c]
                line = member % lines
                for block in range(blocks):
                    _, first, used, lanes = begin(operands, scratch, member * blocks + block, blocks)
                    seen, end = enter(operands, scratch, results, member, first, used, lanes)
                    meet(operands, scratch, keys, values, member - line, lanes, line if causal else lines)
                    meet_own(operands, scratch, member, first, used, lanes, seen, end, strange == zero)
                    for lane in range(lanes):
                        scratch.line[lane] = scratch.total[lane] if scratch.total[lane] != zero else one
                    for column in range(size.e):
                        for lane in range(lanes):
                            scratch.sums[column * lanes + lane] /= scratch.line[lane]
                    unpack(output, (member * size.m + first) * size.e, scratch.sums, used, lanes, size.e)

    return kernel(fixed, f"combiner-fixed-{real.dtype}")


def _computed(query: Array, key: Array, value: Array, scale: float, causal: bool, summary: str) -> Array:
    """Return the output of every token of a grid, (..., rows, columns, e)."""
    query, key, value = (in_one_piece(x) for x in (query, key, value))
    batch = score_batch(query, key, value)
    rows, columns = query.shape[-3:-1]
    problem = lay_out(
        query, key, value, mask=None, bias=None, diagonal=0 if causal else None, batch=batch, parameters=(scale, 1.0),
        finite=False, queries_per_block=CAUSAL_QUERIES if causal else None,
    )  # fmt: skip
    size, sequences = problem.size, problem.members // max(rows, 1)
    fresh = sequences >= get_num_threads()
    new = problem.new(size.d), problem.new(size.e)
    groups = new if fresh else summarized(query, key, value, scale, summary)
    output = problem.new(size.m, size.e)
    over_tasks(
        problem,
        kernels_of(build_fixed, query.dtype),
        sequences if fresh else problem.members,
        output,
        *groups,
        rows=max(size.keys, MEMBERS),
        per_pair=(size.d + size.e) * rows // (2 * columns),
        numbers=(rows, rows if fresh else 1, int(fresh), int(summary == "mean"), int(causal)),
    )
    return output
