"""Sparse distributed memory with a neuron at every address.

The tile template, with the Hamming distance in the place of the dot product: what two addresses share falls with the
distance alone, so the running maximum is the smallest distance so far. A table holds the shares as words of floats with
room for any power of two; a weight is such a word, less the power of two of the closest: one look and one subtraction.
With finitely many neurons a weight is a whole number, an entry of a table rounded up or down.

Bound by: with the popcounts of `hamming`, m n b / 64 words, by m n e multiply-adds and, where there are not many
values, by m n looks into the table. A pair out of reach is hidden like what a mask hides.
Differs from the reference by rounding: distances are exact, and shares correctly rounded.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult

from ...balls import expected_neurons, reach, shares
from ..attention import attend, score_batch
from ..blocks import fill, pack
from ..compile import kernel, part
from ..operands import Array
from ..pointers import moved
from ..real import Real
from ..tile import Kernels, Parts, build_forward, build_parts, elementwise, fill_template, scaled_score
from .hamming import as_doubles, as_words, distances, pack_bits

__all__ = ["sdm_attention"]

RUN = 16
"""Weights that are added up on their own: they are nearly exact, so a total of many must not be what errs."""


def build_shared(real: Real) -> Kernels:
    """Shares of an infinite memory; parameters (the largest distance in reach,), `extra` what `share_words` returns.

    The running maximum is the closest distance so far, a whole number, below 0 if there is none.
    """
    zero = real.number(0)
    begin, _, add_rows = build_parts(real, scaled_score)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer
    info = np.finfo(real.dtype)
    places, bias = int(info.nmant), (int(info.maxexp) - 1) << int(info.nmant)
    of = f"{real.dtype}"

    def scores(operands, scratch, member, first, used, lanes, row, rows):
        size, key, visible = operands.size, operands.key, scratch.visible
        at = key.places[member] + row * key.row
        distance = distances(scratch, key, at, rows, size.d, lanes, size.width)
        far, seen = int(operands.parameters[0]), 0
        for i in range(rows * lanes):
            near = distance[i] <= far
            visible[i] = 1 if near else 0
            seen += near
        return rows * lanes - seen if seen else -1

    def power_of(shares, distance):
        """From the word of a share, what is left of it when it is the closest: its power of two, as a float of 1."""
        return (shares[distance] >> places << places) - bias

    power_of = part(power_of, of)

    def step(operands, scratch, lanes, rows, hidden):
        tile, total, line, few = scratch.scores, scratch.total, scratch.line, scratch.estimate
        words, distance, closest = as_words(tile), as_words(scratch.slopes), as_words(scratch.maximum)
        power, last, factor = as_words(scratch.shift), as_words(scratch.before), as_words(scratch.rescale)
        shares = as_words(operands.extra.memory)
        furthest, nearest = as_words(moved(operands.extra.memory, operands.extra.row)), as_words(line)
        for lane in range(lanes):
            nearest[lane] = distance[lane]
        for row in range(1, rows):
            start = row * lanes
            for lane in range(lanes):
                near = distance[start + lane]
                nearest[lane] = near if near < nearest[lane] else nearest[lane]
        for lane in range(lanes):
            before = closest[lane]
            if before < 0 or nearest[lane] < before:
                closest[lane] = nearest[lane]
            power[lane], last[lane] = power_of(shares, closest[lane]), furthest[closest[lane]]
            counts = before >= 0 and before <= last[lane]
            factor[lane] = power_of(shares, before) + bias - power[lane] if counts else 0
        fill(line, lanes, zero)
        fill(few, lanes, zero)
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):  # on its own: looking up takes no vectors, the rest does
                words[start + lane] = shares[distance[start + lane]]
            for lane in range(lanes):
                near = distance[start + lane] <= last[lane]
                words[start + lane] = words[start + lane] - power[lane] if near else 0
                few[lane] += tile[start + lane]
            if row % RUN == RUN - 1 or row == rows - 1:
                for lane in range(lanes):
                    line[lane] += few[lane]
                    few[lane] = zero
        for lane in range(lanes):
            total[lane] = total[lane] * scratch.rescale[lane] + line[lane]

    scores, step = part(scores, of), part(step, of)

    def weights(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        closest, total, result = as_words(reals(results[0])), reals(results[1]), reals(results[2])
        shares = as_words(operands.extra.memory)
        furthest = as_words(moved(operands.extra.memory, operands.extra.row))
        size, distance, word = operands.size, as_words(scratch.slopes), as_words(scratch.line)
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            for row in range(0, size.n, size.keys):
                rows = min(size.keys, size.n - row)
                if scores(operands, scratch, member, first, used, lanes, row, rows) < 0:
                    continue
                for lane in range(used):
                    query = member * size.m + first + lane
                    last = furthest[closest[query]] if closest[query] >= 0 else -1
                    for r in range(rows):
                        at = distance[r * lanes + lane]
                        if at <= last:
                            word[0] = shares[at] - power_of(shares, closest[query])
                            result[query * size.n + row + r] = scratch.line[0] / total[query]

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


@lru_cache(maxsize=32)
def share_words(bits: int, radius: int, dtype: np.dtype[Any]) -> Array:
    """Return (2, bits + 1) words: the shares themselves, and which distances count beside each as the closest.

    A share 1.f 2^e is the word of a float, except that e may be anything: the word is taken modulo its size, so only
    the difference of two is meant, less the f of one. That is a float, and a normal one up to the furthest distance
    that counts where the other distance is the closest. None counts, which -1 says, where nothing is shared.
    """
    fractions, powers = shares(bits, radius)
    info, whole = np.finfo(dtype), np.dtype(f"i{dtype.itemsize}")
    words = fractions.astype(dtype).view(whole) + (powers.astype(whole) << info.nmant)
    # Powers fall with the distance.
    count = np.searchsorted(-powers, -powers - info.minexp, side="right")
    furthest = np.where(fractions > 0, np.minimum(count, np.count_nonzero(fractions)) - 1, -1)
    return np.stack([words, furthest.astype(whole)]).view(dtype)


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
    build, table = build_shared, share_words(bits, radius, dtype)
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
