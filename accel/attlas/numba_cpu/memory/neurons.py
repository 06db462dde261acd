"""Sparse distributed memory with neurons of its own: two sums over what lies near.

Writing and reading are the same operation, sums[x] = Σ z[y] over the addresses y within the radius of x: the neurons
gather from the patterns, and the queries from the neurons. A block of those that gather is one task, so every counter
is summed by one thread, in order, without atomics.

Bound by: popcounts, (m + n) r b / 64 words (see `hamming`), and the sums. Where few pairs are near, only their rows are
added, e additions each; where many are, a block is a product of the register tile, (m + n) r e multiply-adds in all.
Which of the two depends on the block's own numbers alone.
Differs from the reference by rounding: distances and counts are exact.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import CountersResult

from ..attention import kernels_of
from ..blocks import fill
from ..compile import kernel, part
from ..operands import Array, lay_out, over_queries
from ..real import Real
from ..tile import build_parts, scaled_score
from .hamming import distances, pack_bits
from .sdm import thresholded

__all__ = ["sdm_neuron_attention"]


def build_gathered(real: Real) -> tuple[Any]:
    """Make the kernel, alone in a tuple; parameters (radius,), `extra` (n, 1) what each row of the values counts.

    Results: sums (batch, m, e), counts (batch, m).
    """
    zero, one = real.number(0), real.number(1)
    begin, _, add_rows = build_parts(real, scaled_score)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def near(operands, scratch, member, lanes, row, rows):
        """A tile of ones where a pair is near, zeros elsewhere; returns how many are near."""
        size, key, counted, total = operands.size, operands.key, operands.extra, scratch.total
        tile, visible = scratch.scores, scratch.visible
        at = key.places[member] + row * key.row
        distance = distances(scratch, key, at, rows, size.d, lanes, size.width)
        radius, found = int(operands.parameters[0]), 0
        for r in range(rows):
            start, count = r * lanes, counted.memory[counted.places[member] + (row + r) * counted.row]
            for lane in range(lanes):
                close = distance[start + lane] <= radius
                visible[start + lane] = 1 if close else 0
                tile[start + lane] = one if close else zero
                total[lane] += count if close else zero
                found += close
        return found

    def add_few(sums, visible, matrix, at, width, used, lanes, rows):
        """Add the rows of a matrix to the sums (lanes, width) of those that are near."""
        for r in range(rows):
            source = at + r * matrix.row
            for lane in range(used):
                if visible[r * lanes + lane]:
                    target = lane * width
                    for column in range(width):
                        sums[target + column] += matrix.memory[source + column * matrix.column]

    near, add_few = part(near, of=f"{real.dtype}"), part(add_few, of=f"{real.dtype}")

    def gather(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        sums, counts = reals(results[0]), reals(results[1])
        size, value, many, few = operands.size, operands.value, scratch.sums, scratch.packed_gradient
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            fill(many, size.e * lanes, zero)
            fill(few, size.e * lanes, zero)
            fill(scratch.total, lanes, zero)
            fill(scratch.rescale, lanes, one)
            for row in range(0, size.n, size.keys):
                rows = min(size.keys, size.n - row)
                pairs = rows * lanes
                found = near(operands, scratch, member, lanes, row, rows)
                # A row that is added costs about eight times its share of a product, and the search some columns.
                if found * size.e * 8 + pairs * 32 < pairs * size.e or found == 0:
                    at = value.places[member] + row * value.row
                    add_few(few, scratch.visible, value, at, size.e, used, lanes, rows if found else 0)
                else:
                    add_rows(
                        operands, scratch, many, scratch.scores, value, size.e, member, lanes, row, rows, pairs - found
                    )  # fmt: skip
            target = member * size.m + first
            for lane in range(used):
                counts[target + lane] = scratch.total[lane]
                divisor = scratch.total[lane] if size.divide and scratch.total[lane] != zero else one
                for column in range(size.e):
                    whole = many[column * lanes + lane] + few[lane * size.e + column]
                    sums[(target + lane) * size.e + column] = whole / divisor

    return (kernel(gather, f"gathered-{real.dtype}"),)


def sdm_neuron_attention(
    query: Array,
    key: Array,
    value: Array,
    neurons: Array,
    *,
    radius: int,
    threshold: bool,
    bipolar: bool,
    normalize: bool,
    return_counters: bool,
) -> Any:
    """See `attlas_ref.memory.sdm_neuron_attention`; a set bit is a 1 in either form of addresses."""
    places = pack_bits(neurons)
    each = np.ones((1, 1), dtype=value.dtype)
    counters, hits = _gathered(places, pack_bits(key), value, each, radius, divide=False)
    output, _ = _gathered(pack_bits(query), places, counters, hits[..., None], radius, divide=normalize)
    if threshold:
        output = np.sign(output) if bipolar else thresholded(output)
    return CountersResult(output, counters) if return_counters else output


def _gathered(
    places: Array, others: Array, values: Array, counted: Array, radius: int, divide: bool
) -> tuple[Array, Array]:
    """For every place the sum of the values at others near it, and of what they count; with `divide` the quotient."""
    problem = lay_out(
        places,
        others,
        values,
        mask=None,
        bias=None,
        diagonal=None,
        extra=counted,
        parameters=(float(radius),),
        divide=divide,
        selects=True,
    )
    sums, counts = problem.new(problem.size.m, problem.size.e), problem.new(problem.size.m)
    over_queries(problem, *kernels_of(build_gathered, values.dtype), sums, counts)
    return sums, counts
