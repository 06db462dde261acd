"""Distributions over positions, on the CPU: no value is blended, the weights are the result.

A task is a block of queries. Scores come tile after tile from the product of `learned` (or a dot product) and are put
where the result will stand; their maxima are kept on the way. Then each row is divided by its sum where it stands, or
loses the logarithm of it.

Bound by: m n a hyperbolic tangents, about thirty instructions each, or m n a multiply-adds for the dot score; the m n
numbers of the result are written once and, while they are still in the cache, read and written once more. Each pair is
scored once, also where the logits are asked for. Memory beside the results: a tile for each thread.
Blocks are cut by the shape alone, and a row belongs to one thread, so neither threads nor the rest of the batch change
a bit. Differs from the reference by rounding.
"""

import math
from typing import Any

import numpy as np

from attlas_ref.contract import PointerResult

from ..attention import kernels_of, lay_out_scores
from ..blocks import fill, hide, see
from ..compile import kernel, part
from ..learned import tanh_sum
from ..operands import Array, over_queries
from ..pointers import moved
from ..probabilistic.sums import sums_of
from ..product import projected
from ..real import Real
from ..tile import build_parts, dot, scaled_score

__all__ = ["pointer_attention"]

TANGENT = 8
"""What a hyperbolic tangent costs, in multiply-adds."""


def _put(result, at, step, tile, used, lanes, rows):
    """Put a tile into rows of a result: result[lane, row] = tile[row, lane]."""
    for lane in range(used):
        target = at + lane * step
        for row in range(rows):
            result[target + row] = tile[row * lanes + lane]


put: Any = part(_put)


def build_pointer(real: Real, additive: bool, clipped: bool) -> Any:
    """Make the kernel; parameters (scale, clip, temperature), `extra` (1, a): v of the additive score.

    Results: p (batch, m, n), logits (batch, m, n) or 0; whether p is wanted as logarithms.
    """
    name = f"pointer-{'additive' if additive else 'dot'}{'-clipped' if clipped else ''}"
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    of, exp, tanh, sums = f"{name}, {real.dtype}", real.exp, real.tanh, sums_of(real)
    product = tanh_sum(real) if additive else dot
    begin = build_parts(real, scaled_score).begin
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def bend(tile, count, parameters):
        for i in range(count):
            logit = parameters[0] * tile[i]
            tile[i] = (parameters[1] * tanh(logit) if clipped else logit) / parameters[2]

    def look(tile, maximum, rows, lanes):
        for row in range(rows):
            for lane in range(lanes):
                score = tile[row * lanes + lane]
                maximum[lane] = score if score > maximum[lane] else maximum[lane]  # a NaN is left to the sum

    def normalize(row, n, top):
        for j in range(n):
            row[j] = exp(row[j] - top)
        mass = sums.total(row, n)
        divisor = mass if mass != zero else one
        for j in range(n):
            row[j] /= divisor
        return mass

    def clear(row, n, mask, at, value):
        """Put a value where a row with a NaN is hidden."""
        for j in range(n):
            if mask.memory[at + j * mask.column] == 0:
                row[j] = value

    bend, look, normalize, clear = part(bend, of), part(look, of), part(normalize, of), part(clear, of)

    def pointer(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        p, logits, as_log = reals(results[0]), reals(results[1]), results[2]
        size, mask, tile, maximum = operands.size, operands.mask, scratch.scores, scratch.maximum
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            target = (member * size.m + first) * size.n
            at = mask.places[member] + first * mask.row
            fill(maximum, lanes, -infinity)
            for row in range(0, size.n, size.keys):
                rows = min(size.keys, size.n - row)
                hidden = 0
                if size.has_mask:
                    along = at + row * mask.column
                    hidden = see(scratch.visible, operands, along, rows, used, lanes, size.diagonal, True)
                if hidden == rows * used and results[1] == 0:
                    fill(tile, rows * lanes, -infinity)
                else:
                    product(operands, scratch, member, row, rows, lanes)
                    bend(tile, rows * lanes, operands.parameters)
                    if results[1]:
                        put(logits, target + row, size.n, tile, used, lanes, rows)
                    if hidden:
                        hide(tile, scratch.visible, rows * lanes, -infinity)
                    look(tile, maximum, rows, lanes)
                put(p, target + row, size.n, tile, used, lanes, rows)
            for lane in range(used):
                own = moved(p, target + lane * size.n)
                if as_log:
                    mass = sums.log_normalize(own, size.n)
                else:
                    mass = normalize(own, size.n, zero if maximum[lane] == -infinity else maximum[lane])
                if mass != mass and size.has_mask:
                    clear(own, size.n, mask, at + lane * mask.row, -infinity if as_log else zero)

    return kernel(pointer, f"{name}-{real.dtype}")


def build_additive(real: Real) -> Any:
    """v · tanh(q + k)."""
    return build_pointer(real, additive=True, clipped=False)


def build_additive_clipped(real: Real) -> Any:
    """C tanh(v · tanh(q + k))."""
    return build_pointer(real, additive=True, clipped=True)


def build_dot(real: Real) -> Any:
    """scale <q, k>."""
    return build_pointer(real, additive=False, clipped=False)


def build_dot_clipped(real: Real) -> Any:
    """C tanh(scale <q, k>)."""
    return build_pointer(real, additive=False, clipped=True)


KERNELS = {
    (True, False): build_additive,
    (True, True): build_additive_clipped,
    (False, False): build_dot,
    (False, True): build_dot_clipped,
}
"""By whether the score is additive, and whether it is clipped."""


def pointer_attention(
    query: Array,
    key: Array,
    *,
    w_query: Array | None,
    w_key: Array | None,
    b_query: Array | None,
    b_key: Array | None,
    v: Array | None,
    score: str,
    scale: float | None,
    logit_clip: float | None,
    temperature: float,
    mask: Array | None,
    log: bool,
    return_logits: bool,
) -> Any:
    """See `attlas_ref.pointer.pointer_attention`."""
    asks, offers = projected(query, w_query, b_query), projected(key, w_key, b_key)
    additive, clipped = score == "additive", logit_clip is not None
    factor = 1.0 if additive else 1 / math.sqrt(asks.shape[-1]) if scale is None else scale
    problem = lay_out_scores(
        asks,
        offers,
        mask=mask,
        bias=None,
        extra=None if v is None else v[None, :],
        diagonal=None,
        parameters=(factor, logit_clip or 0.0, temperature),
    )
    p = problem.new(problem.size.m, problem.size.n)
    logits = np.empty(p.shape, dtype=p.dtype) if return_logits else None
    over_queries(
        problem,
        kernels_of(KERNELS[additive, clipped], query.dtype),
        p,
        logits,
        numbers=(int(log),),
        per_pair=TANGENT * asks.shape[-1] if additive else 0,
    )
    return p if logits is None else PointerResult(p, logits)
