"""Combiner-Axial: the own row of a grid key by key, the earlier rows as the token above has read them.

A task is a strip of columns, whose queries are the lanes: no column needs what another one reads. It goes down the
rows. What the tokens of a row read is kept as it comes, lanes side by side, and met so by the rows below, in products
lane by lane; `TOGETHER` rows at a time, so that what is kept moves that much less often.

Bound by: multiply-adds, n (block + n / block)(d + e). Memory of a task: (d + e) numbers for each row of its lanes.
Differs from the reference by rounding.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult

from ..attention import dot_scale, kernels_of, score_batch
from ..blocks import all_finite, careful_add, fill, pack, unpack
from ..compile import kernel, part
from ..operands import Array, lay_out, over_tasks
from ..pointers import Scratch, moved
from ..real import Real
from ..tile import softmax
from ..vector import lanes_of, multiply, multiply_add
from .lane_products import lane_products_of
from .pieces import Piece, attended, flat, grid, piece_of, weighted

__all__ = ["combiner_axial_attention"]

STRIP = 32
"""Columns of a task."""

TOGETHER = 4
"""Rows that meet the rows above at the same time."""

OWN = len(Scratch._fields)


def build_axial(real: Real) -> Any:
    """Make the kernel; parameters (scale,), `extra`: keys of what was read, if they are given.

    Results: the output (batch, rows, columns, e), the number of rows, whether those keys are given. Scratch of its own:
    values read and their keys (rows, e | d, lanes); of the rows together, queries (d, lanes), scores of the own row
    (columns, lanes) and of those above (rows, lanes), sums (e, lanes), totals (lanes); ones (lanes).
    """
    zero, one, infinity, exp, of = real.number(0), real.number(1), real.number(np.inf), real.exp, str(real.dtype)
    step, add_lanes = softmax(real).step, lane_products_of(real)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def divide(sums, total, width, lanes, line):
        for lane in range(lanes):
            line[lane] = one / (total[lane] if total[lane] != zero else one)
        for column in range(width):
            for lane in range(lanes):
                sums[column * lanes + lane] *= line[lane]

    divide = part(divide, f"axial, {of}")

    def read(operands, scratch, member, first, used, lanes, asked, own, values, keys, given):
        """Score a row, and read its values, and its keys by the same weights, if they are not given."""
        size, key, value, given_keys, tile = operands.size, operands.key, operands.value, operands.extra, scratch.scores
        query, scale = operands.query, operands.parameters[0]
        pack(asked, query, query.places[member] + first * query.row, used, lanes, size.d, zero)
        at = key.places[member]
        multiply(tile, asked, key, at, key.row, key.column, size.n, size.d, lanes, size.width, scratch.rescale)
        for i in range(size.n * lanes):
            tile[i] *= scale
            own[i] = tile[i]
        fill(scratch.maximum, lanes, -infinity)
        fill(scratch.total, lanes, zero)
        step(operands, scratch, lanes, size.n, 0)
        fill(values, size.e * lanes, zero)
        multiply_add(
            values, tile, value, value.places[member], value.column, value.row, size.e, size.n, lanes, size.width,
            scratch.rescale,
        )  # fmt: skip
        divide(values, scratch.total, size.e, lanes, scratch.line)
        if given:
            row = given_keys.places[member] + first * given_keys.row
            pack(keys, given_keys, row, used, lanes, size.d, zero)
        else:
            fill(keys, size.d * lanes, zero)
            multiply_add(keys, tile, key, at, key.column, key.row, size.d, size.n, lanes, size.width, scratch.rescale)
            divide(keys, scratch.total, size.d, lanes, scratch.line)

    def weigh(own, above, end, row, first, lanes, line, total, scale):
        """Make scores of the own row, up to each token, and of the rows above unnormalized weights."""
        fill(line, lanes, -infinity)
        fill(total, lanes, zero)
        for u in range(end):
            for lane in range(lanes):
                score = own[u * lanes + lane] if u <= first + lane else -infinity
                own[u * lanes + lane] = score
                # A NaN is taken, and kept: nothing is larger than it.
                line[lane] = score if (score > line[lane]) | (score != score) else line[lane]
        for t in range(row):
            for lane in range(lanes):
                score = scale * above[t * lanes + lane]
                above[t * lanes + lane] = score
                line[lane] = score if (score > line[lane]) | (score != score) else line[lane]
        for lane in range(lanes):
            line[lane] = zero if line[lane] == -infinity else line[lane]
        for u in range(end):
            for lane in range(lanes):
                weight = exp(own[u * lanes + lane] - line[lane])
                own[u * lanes + lane] = weight
                total[lane] += weight
        for t in range(row):
            for lane in range(lanes):
                weight = exp(above[t * lanes + lane] - line[lane])
                above[t * lanes + lane] = weight
                total[lane] += weight

    def add_own(operands, scratch, member, first, lanes, end, own, sums, ones):
        """Add the values of the own row, up to each token."""
        size, value = operands.size, operands.value
        at = value.places[member]
        if all_finite(value, at, end, size.e):
            multiply_add(sums, own, value, at, value.column, value.row, size.e, end, lanes, size.width, ones)
            return
        for u in range(end):
            for lane in range(lanes):
                scratch.visible[u * lanes + lane] = u <= first + lane
        careful_add(sums, own, value, at, size.e, end, lanes, ones, scratch.visible, scratch.line, zero)

    read, weigh, add_own = part(read, of), part(weigh, of), part(add_own, of)

    def axial(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        output, rows, given, size = reals(results[0]), results[1], results[2] != 0, operands.size
        values, keys = reals(scratch_table[OWN]), reals(scratch_table[OWN + 1])
        asked, own, above = reals(scratch_table[OWN + 2]), reals(scratch_table[OWN + 3]), reals(scratch_table[OWN + 4])
        sums, totals, ones = reals(scratch_table[OWN + 5]), reals(scratch_table[OWN + 6]), reals(scratch_table[OWN + 7])
        strips, d, e = (size.m + size.queries - 1) // size.queries, size.d, size.e
        for task in range(start, stop):
            first = task % strips * size.queries
            used = min(size.queries, size.m - first)
            lanes = (used + size.width - 1) // size.width * size.width
            end, of_d, of_e, of_own, of_above = (
                min(size.n, first + used),
                d * lanes,
                e * lanes,
                size.n * lanes,
                rows * lanes,
            )
            fill(ones, lanes, one)
            for top in range(0, rows, TOGETHER):
                together, member = min(TOGETHER, rows - top), task // strips * rows + top
                for i in range(together):
                    read(
                        operands, scratch, member + i, first, used, lanes, moved(asked, i * of_d),
                        moved(own, i * of_own), moved(values, (top + i) * of_e), moved(keys, (top + i) * of_d), given,
                    )  # fmt: skip
                fill(above, together * of_above, zero)
                add_lanes(above, of_above, lanes, together, top, asked, of_d, lanes, keys, of_d, lanes, d, lanes)
                fill(sums, together * of_e, zero)
                for i in range(together):
                    scores, last = moved(above, i * of_above), moved(keys, top * of_d)
                    add_lanes(
                        moved(scores, top * lanes), of_above, lanes, 1, i, moved(asked, i * of_d), of_d, lanes, last,
                        of_d, lanes, d, lanes,
                    )  # fmt: skip
                    weigh(
                        moved(own, i * of_own), scores, end, top + i, first, lanes, scratch.line,
                        moved(totals, i * lanes), operands.parameters[0],
                    )  # fmt: skip
                    add_own(
                        operands, scratch, member + i, first, lanes, end, moved(own, i * of_own),
                        moved(sums, i * of_e), ones,
                    )  # fmt: skip
                add_lanes(sums, of_e, lanes, together, e, above, of_above, lanes, values, lanes, of_e, top, lanes)
                for i in range(together):
                    target, weights = moved(sums, i * of_e), moved(above, i * of_above + top * lanes)
                    last = moved(values, top * of_e)
                    add_lanes(target, of_e, lanes, 1, e, weights, of_above, lanes, last, lanes, of_e, i, lanes)
                    divide(target, moved(totals, i * lanes), e, lanes, scratch.line)
                    unpack(output, ((member + i) * size.m + first) * e, target, used, lanes, e)

    return kernel(axial, f"combiner-axial-{real.dtype}")


def _computed(query: Array, key: Array, value: Array, summary_key: Array | None, scale: float) -> Array:
    """Return the output of every token of a grid, (..., rows, columns, e)."""
    leading = () if summary_key is None else summary_key.shape[:-2]
    batch = np.broadcast_shapes(score_batch(query, key, value), leading)
    problem = lay_out(
        query, key, value, mask=None, bias=None, diagonal=None, extra=summary_key, batch=batch, parameters=(scale,),
        queries_per_block=STRIP,
    )  # fmt: skip
    size, rows = problem.size, query.shape[-3]
    output = problem.new(size.m, size.e)
    together = (size.d, size.n, rows, size.e, 1)
    over_tasks(
        problem,
        kernels_of(build_axial, query.dtype),
        problem.members // max(rows, 1) * -(-size.m // size.queries),
        output,
        rows=size.n,
        per_pair=size.d + size.e + (size.d + size.e) * rows // (2 * size.n),
        own=(rows * size.e, rows * size.d, *(TOGETHER * numbers for numbers in together), 1),
        numbers=(rows, int(summary_key is not None)),
    )
    return output


def combiner_axial_attention(
    query: Array,
    key: Array,
    value: Array,
    summary_key: Array | None = None,
    *,
    block: int,
    scale: float | None,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.probabilistic.combiner_axial_attention`."""
    scale, n = dot_scale(scale, query), query.shape[-2]
    q, k, v = (grid(x, block) for x in (query, key, value))
    given = None if summary_key is None else grid(summary_key, block)
    own = Piece(q, k, v, diagonal=0)

    def above_of(value: Array) -> Piece:
        """What every token meets above it, where each row is read before any is met."""
        met = attended([Piece(q, k, k)], scale) if given is None else given
        return piece_of(q, met, attended([Piece(q, k, value)], scale), columns=True, diagonal=-1)

    # Columns that do not fill a vector would leave its lanes empty; then the rows are the lanes.
    narrow = block < lanes_of(query.dtype)
    output = flat(attended([above_of(v), own], scale) if narrow else _computed(q, k, v, given, scale))
    if not return_weights:
        return output
    # Values may have leading axes that no weight has.
    none = np.empty((block, 0), dtype=value.dtype)
    direct, shared = weighted([own, above_of(none)], scale)  # (..., rows, block, block), (..., block, rows, rows)
    (inner,) = weighted([Piece(q, k, none)], scale)  # (..., rows, block, block)
    rows = n // block
    earlier = np.tri(rows, k=-1, dtype=bool)[:, None, :, None]  # (rows, 1, rows, 1)
    # Of token (r, c): the share of (t, c) times what that reads of row t.
    shared = np.moveaxis(shared, -3, -2)[..., None]  # (..., rows, block, rows, 1)
    whole = np.where(earlier, shared * inner.swapaxes(-3, -2)[..., None, :, :, :], 0)
    each = np.arange(rows)
    whole[..., each, :, each, :] += np.moveaxis(direct, -3, 0)
    return AttentionResult(output, whole.reshape(*whole.shape[:-4], n, n))
