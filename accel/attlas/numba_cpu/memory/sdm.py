"""Sparse distributed memory with a neuron at every address.

The tile template, with the Hamming distance in the place of the dot product: what two addresses share falls with the
distance alone, so the running maximum is the smallest distance so far, and a weight is the exponential of the
difference of two entries of a table of logarithms. With finitely many neurons a weight is a whole number, an entry of a
table rounded up or down.

Bound by: with the popcounts of `hamming`, m n b / 64 words, by m n e multiply-adds and, where there are not many
values, by m n looks into the tables and exponentials. A pair out of reach is hidden like what a mask hides.
Differs from the reference by rounding: distances are exact, and differences of logarithms as good as in float64.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult

from ..attention import attend, score_batch
from ..blocks import pack
from ..compile import kernel, part
from ..operands import Array
from ..pointers import moved
from ..real import Real
from ..tile import Kernels, Parts, build_forward, build_parts, elementwise, fill_template, scaled_score
from .addresses import expected_neurons, log_shares, reach
from .hamming import as_doubles, as_words, distances, pack_bits

__all__ = ["sdm_attention"]

RUN = 16
"""Weights that are added up on their own: they are nearly exact, so a total of many must not be what errs."""


def build_shared(real: Real) -> Kernels:
    """Shares of an infinite memory; parameters (the largest distance in reach,), `extra` the logarithms of the shares
    and what rounding has taken off them.

    A score is minus the distance.
    """
    zero, infinity, number, exp = real.number(0), real.number(np.inf), real.number, real.exp
    begin, _, add_rows = build_parts(real, scaled_score)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer
    of = f"{real.dtype}"

    def scores(operands, scratch, member, first, used, lanes, row, rows):
        size, key, tile, visible = operands.size, operands.key, scratch.scores, scratch.visible
        at = key.places[member] + row * key.row
        distance = distances(scratch, key, at, rows, size.d, lanes, size.width)
        far, seen = int(operands.parameters[0]), 0
        for i in range(rows * lanes):
            near = distance[i] <= far
            visible[i] = 1 if near else 0
            tile[i] = -number(distance[i]) if near else -infinity
            seen += near
        return rows * lanes - seen if seen else -1

    def step(operands, scratch, lanes, rows, hidden):
        tile, maximum, total, distance = scratch.scores, scratch.maximum, scratch.total, as_words(scratch.slopes)
        shift, lost, rescale, line = scratch.shift, scratch.before, scratch.rescale, scratch.line
        few = scratch.estimate
        logarithms, rest = operands.extra.memory, moved(operands.extra.memory, operands.extra.row)
        for lane in range(lanes):
            line[lane] = maximum[lane]
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                line[lane] = tile[start + lane] if tile[start + lane] > line[lane] else line[lane]
        for lane in range(lanes):
            closest = 0 if line[lane] == -infinity else int(-line[lane])
            shift[lane], lost[lane] = logarithms[closest], rest[closest]
            before = 0 if maximum[lane] == -infinity else int(-maximum[lane])
            fallen = (logarithms[before] - shift[lane]) + (rest[before] - lost[lane])
            rescale[lane] = zero if maximum[lane] == -infinity else exp(fallen)
            maximum[lane] = line[lane]
            line[lane] = zero
            few[lane] = zero
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):  # on its own: looking up takes no vectors, the rest does
                at = distance[start + lane]
                tile[start + lane], scratch.mean[lane] = logarithms[at], rest[at]
            for lane in range(lanes):
                weight = exp((tile[start + lane] - shift[lane]) + (scratch.mean[lane] - lost[lane]))
                tile[start + lane] = weight
                few[lane] += weight
            if row % RUN == RUN - 1 or row == rows - 1:
                for lane in range(lanes):
                    line[lane] += few[lane]
                    few[lane] = zero
        for lane in range(lanes):
            total[lane] = total[lane] * rescale[lane] + line[lane]

    scores, step = part(scores, of), part(step, of)

    def weights(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        maximum, total, result = reals(results[0]), reals(results[1]), reals(results[2])
        logarithms, rest = operands.extra.memory, moved(operands.extra.memory, operands.extra.row)
        size, distance = operands.size, as_words(scratch.slopes)
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            for row in range(0, size.n, size.keys):
                rows = min(size.keys, size.n - row)
                if scores(operands, scratch, member, first, used, lanes, row, rows) < 0:
                    continue
                for lane in range(used):
                    query = member * size.m + first + lane
                    closest = 0 if maximum[query] == -infinity else int(-maximum[query])
                    for r in range(rows):
                        if scratch.visible[r * lanes + lane]:
                            at = distance[r * lanes + lane]
                            weight = exp((logarithms[at] - logarithms[closest]) + (rest[at] - rest[closest]))
                            result[query * size.n + row + r] = weight / total[query]

    forward = build_forward("sdm", real, Parts(begin, scores, add_rows), step)
    return Kernels(real, forward, kernel(weights, f"sdm-weights-{real.dtype}"))


def build_counted(real: Real) -> Kernels:
    """Counts of a finite memory; the bias holds what decides on rounding up, `extra` the expected counts."""
    number = real.number
    begin, _, add_rows = build_parts(real, scaled_score)
    zero, of = number(0), f"{real.dtype}"

    def scores(operands, scratch, member, first, used, lanes, row, rows):
        size, key, uniform, tile, visible = operands.size, operands.key, operands.bias, scratch.scores, scratch.visible
        expected = as_doubles(operands.extra.memory)
        at = uniform.places[member] + first * uniform.row + row * uniform.column
        pack(scratch.bias, uniform, at, used, lanes, rows, zero)
        at = key.places[member] + row * key.row
        distance = distances(scratch, key, at, rows, size.d, lanes, size.width)
        seen = 0
        for i in range(rows * lanes):
            whole = np.floor(expected[distance[i]])
            up = scratch.bias[i] < expected[distance[i]] - whole
            tile[i] = number(whole + 1.0 if up else whole)
            visible[i] = 1 if tile[i] > zero else 0
            seen += visible[i]
        return rows * lanes - seen if seen else -1

    def count(score, parameters):
        return score

    return fill_template("sdm-counts", real, Parts(begin, part(scores, of), add_rows), elementwise(real, count))


def sdm_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    radius: int,
    neurons: int | None,
    uniforms: Array | None,
    threshold: bool,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.memory.sdm_attention`."""
    bits, dtype = query.shape[-1], query.dtype
    build, table = build_shared, log_shares(bits, radius, dtype)
    parameters: tuple[float, ...] = (float(reach(bits, radius)),)
    if neurons is not None:
        build, table, parameters = build_counted, expected_neurons(bits, radius, neurons)[None].view(dtype), ()
        leading = score_batch(query, uniforms)
        query = np.broadcast_to(query, (*leading, *query.shape[-2:]))
    result: Any = attend(
        build,
        pack_bits(query),
        pack_bits(key),
        value,
        *parameters,
        mask=None,
        bias=uniforms,
        causal=False,
        return_weights=return_weights,
        extra=table,
        selects=True,
    )
    output = thresholded(result.output if return_weights else result) if threshold else None
    if output is None:
        return result
    return AttentionResult(output, result.weights) if return_weights else output


def thresholded(output: Array) -> Array:
    """Return 1 where a number exceeds one half, 0 elsewhere; a NaN stays."""
    return np.where(np.isnan(output), output, output > 1 / 2).astype(output.dtype)
