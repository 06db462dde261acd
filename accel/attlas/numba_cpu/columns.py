"""Attention that is normalized along the queries.

Two passes. In the first, lanes are keys and rows queries: it leaves statistics of every column of scores, O(n) numbers.
In the second, lanes are queries again, and what it does to a pair depends on the numbers of its key, which stand in
the operand `extra`, (n, numbers). A score has the same bits in both passes, so score - maximum is at most 0.

Bound by: multiply-adds, m n (2 d + e), beside m n exponentials in one or both passes. Differs from the reference by
rounding: the weights are not divided one by one but their sums are.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .attention import attend, causal_diagonal, dot_scale, kernels_of, lay_out_scores, run_forward
from .band import summed
from .blocks import fill, hide
from .compile import kernel, part
from .dense import build_softmax
from .operands import Array
from .real import Real
from .tile import Kernels, build, build_parts, elementwise, scaled_score, softmax, span
from .vector import multiply

__all__ = ["reversed_attention", "stacked_cross_attention"]


def transposed(array: Array | None) -> Array | None:
    return None if array is None else np.atleast_2d(array).mT


# Sums along the rows of what the columns send


def receivers(name: str, real: Real, weigh: Callable[..., Any], divisor: Callable[..., Any]) -> Kernels:
    """Sum what the keys send to each query; parameters (scale, the formulation's own), `extra` (n, 2): two numbers of
    each key.

    `weigh(score, first, second, parameters)` is one weight; with `divide`, a query's sum is divided by
    `divisor(total, parameters)`, where the total is that of the sizes of its weights. Results and kernels are those of
    `tile`; the maximum is not written.
    """
    zero, one = real.number(0), real.number(1)
    begin, scores, add_rows = build_parts(real, scaled_score, False)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer
    of = f"{name}, {real.dtype}"
    weigh, divisor = part(weigh, of, inline=True), part(divisor, of, inline=True)

    def send(operands, scratch, member, lanes, row, rows, hidden):
        """Turn a tile of scores into weights."""
        tile, sent = scratch.scores, operands.extra
        for r in range(rows):
            start, at = r * lanes, sent.places[member] + (row + r) * sent.row
            first, second = sent.memory[at], sent.memory[at + sent.column]
            for lane in range(lanes):
                tile[start + lane] = weigh(tile[start + lane], first, second, operands.parameters)
        if hidden:
            hide(tile, scratch.visible, rows * lanes, zero)

    def divisor_of(total, operands):
        return divisor(total, operands.parameters) if operands.size.divide else one

    send, divisor_of = part(send, of), part(divisor_of, of, inline=True)

    def forward(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        output, total = reals(results[0]), reals(results[2])
        size, whole, lost = operands.size, scratch.total, scratch.before
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            fill(scratch.sums, size.e * lanes, zero)
            fill(scratch.total, lanes, zero)
            fill(scratch.before, lanes, zero)
            fill(scratch.rescale, lanes, one)
            seen, end = span(size, first, used)
            for row in range(seen, end, size.keys):
                rows = min(size.keys, end - row)
                hidden = scores(operands, scratch, member, first, used, lanes, row, rows)
                if hidden < 0:
                    continue
                send(operands, scratch, member, lanes, row, rows, hidden)
                for r in range(rows):
                    for lane in range(lanes):
                        size_of = abs(scratch.scores[r * lanes + lane])
                        whole[lane], lost[lane] = summed(whole[lane], lost[lane], size_of)
                add_rows(
                    operands, scratch, scratch.sums, scratch.scores, operands.value, size.e, member, lanes, row, rows,
                    hidden,
                )  # fmt: skip
            for lane in range(used):
                target = member * size.m + first + lane
                total[target] = scratch.total[lane]
                divisor = divisor_of(scratch.total[lane], operands)
                for column in range(size.e):
                    output[target * size.e + column] = scratch.sums[column * lanes + lane] / divisor

    def weights(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        total, result = reals(results[1]), reals(results[2])
        size = operands.size
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            seen, end = span(size, first, used)
            for row in range(seen, end, size.keys):
                rows = min(size.keys, end - row)
                hidden = scores(operands, scratch, member, first, used, lanes, row, rows)
                if hidden < 0:
                    continue
                send(operands, scratch, member, lanes, row, rows, hidden)
                for lane in range(used):
                    query = member * size.m + first + lane
                    divisor = divisor_of(total[query], operands)
                    for r in range(rows):
                        if hidden == 0 or scratch.visible[r * lanes + lane]:
                            result[query * size.n + row + r] = scratch.scores[r * lanes + lane] / divisor

    return Kernels(
        real, kernel(forward, f"{name}-forward-{real.dtype}"), kernel(weights, f"{name}-weights-{real.dtype}")
    )


# Reversed attention: the softmax of every column, summed along the rows


def build_reversed(real: Real) -> Kernels:
    """Sum what the senders send; parameters (scale, eps), `extra` (n, 2): each key's shift and gate / total.

    With `divide`, a receiver's sum is divided by that of the sizes of its weights, or by eps if that is larger.
    """
    exp = real.exp

    def share(score, shift, factor, parameters):
        return exp(score - shift) * factor

    def at_least(total, parameters):
        return parameters[1] if total < parameters[1] else total

    return receivers("reversed", real, share, at_least)


def columns_of(query: Array, key: Array, scale: float, **options: Any) -> tuple[Array, Array]:
    """Return shift and total (..., n) of the softmax of every column: exp(score - shift) adds up to the total, or to 0,
    for which 1 stands."""
    mask, bias = (transposed(options.pop(name)) for name in ("mask", "bias"))
    senders = lay_out_scores(key, query, mask=mask, bias=bias, order=-1, parameters=(scale, 1.0), **options)
    _, maximum, total = run_forward(senders, kernels_of(build_softmax, query.dtype))
    return np.where(np.isneginf(maximum), 0, maximum), np.where(total == 0, 1, total)


def reversed_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    sender_gate: Array | None,
    renormalize: bool,
    eps: float,
    scale: float | None,
    mask: Array | None,
    bias: Array | None,
    causal: bool,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.normalizers.reversed_attention`."""
    scale = dot_scale(scale, query)
    diagonal = causal_diagonal(causal, query, key)
    shift, total = columns_of(query, key, scale, mask=mask, bias=bias, diagonal=diagonal)
    factor = (1 if sender_gate is None else sender_gate) / total
    return attend(
        build_reversed,
        query,
        key,
        value,
        scale,
        eps,
        mask=mask,
        bias=bias,
        causal=causal,
        return_weights=return_weights,
        divide=renormalize,
        extra=np.stack(np.broadcast_arrays(shift, factor), axis=-1).astype(query.dtype, copy=False),
    )


# Stacked cross-attention: a softmax of scores that are divided by the length of their column


def build_norms(real: Real) -> Kernels:
    """Sum the squares of bent dot products over the queries, for every key; parameters (slope below 0,)."""
    zero = real.number(0)

    def bent_dot(dot, query_square, key_square, bias, parameters):
        return dot if dot > zero else parameters[0] * dot

    def square(score, parameters):
        return score * score

    return build("norms", real, bent_dot, elementwise(real, square))


def build_stacked(real: Real) -> Kernels:
    """Softmax of normalized similarities; parameters (slope below 0,).

    A query has one column more than a key, its inverse temperature; `extra` (n, 1) holds the norms.
    """
    zero = real.number(0)

    def normalized(operands, scratch, member, row, rows, lanes):
        size, key, norm = operands.size, operands.key, operands.extra
        tile, slope, features = scratch.scores, operands.parameters[0], size.d - 1
        at = key.places[member] + row * key.row
        multiply(tile, scratch.packed, key, at, key.row, key.column, rows, features, lanes, size.width, scratch.rescale)
        for r in range(rows):
            start, divisor = r * lanes, norm.memory[norm.places[member] + (row + r) * norm.row]
            for lane in range(lanes):
                dot = tile[start + lane]
                bent = dot if dot > zero else slope * dot
                tile[start + lane] = scratch.packed[features * lanes + lane] * (bent / divisor)

    def score(product, query_square, key_square, bias, parameters):
        return product

    return build("stacked", real, score, softmax(real), product=part(normalized, of=f"{real.dtype}"))


def stacked_cross_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    inverse_temperature: Array,
    factors: Array | None,
    slope: float,
    eps: float,
    mask: Array | None,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.dotproduct.stacked_cross_attention`."""
    query = query if factors is None else factors * query
    columns = lay_out_scores(key, query, mask=transposed(mask), bias=None, diagonal=None, order=-1, parameters=(slope,))
    _, _, squares = run_forward(columns, kernels_of(build_norms, query.dtype))
    norm = np.sqrt(squares) + eps
    sharpness = np.asarray(inverse_temperature, dtype=query.dtype)[..., None]  # (..., m, 1) or (1,)
    leading = np.broadcast_shapes(query.shape[:-2], sharpness.shape[:-2])
    query = np.concatenate(
        [np.broadcast_to(a, (*leading, query.shape[-2], a.shape[-1])) for a in (query, sharpness)], axis=-1
    )
    return attend(
        build_stacked,
        query,
        key,
        value,
        slope,
        mask=mask,
        bias=None,
        causal=False,
        return_weights=return_weights,
        extra=np.where(norm == 0, 1, norm).astype(query.dtype, copy=False)[..., None],
    )
