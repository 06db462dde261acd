"""Attention of one query to every prefix of its keys.

The tokens are cut into blocks, by their number alone. A first pass leaves the scores, and the (maximum, total,
accumulator) of every block; these are merged in order, from the state that was handed in; a last pass runs through each
block from nothing, token by token, and merges every prefix with what came before the block. So blocks are independent
in both passes, a rounding error grows with the length of a block and the number of blocks rather than with their
product, and neither the number of threads nor the method that was asked for changes a bit.

Bound by: memory. Keys are read once and values twice, outputs are written once: O(n (d + e)).
Differs from the reference by rounding.
"""

from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import AttentionPartial, PrefixResult

from .attention import dot_scale, kernels_of
from .blocks import fill
from .compile import kernel, part
from .operands import Array, lay_out, over_queries
from .real import Real
from .tile import build_parts, scaled_score
from .vector import multiply

__all__ = ["prefix_attention"]


class PrefixKernels(NamedTuple):
    """Three passes in one precision; each is kernel(start, stop, operands, scratch, results) as in `tile`.

    The tokens are laid out as queries, the one query as the only key. Results are scores (batch, n), maximum and total
    (batch, 1 + blocks), accumulator (batch, 1 + blocks, e), output (batch, n, e).
    """

    blocks: Any
    """Fills scores, and the partials of the blocks, from 1 on."""
    merge: Any
    """Merges each partial with those before it; 0 is the state handed in."""
    outputs: Any
    """Fills the output."""


def build_prefix(real: Real) -> PrefixKernels:
    """Softmax of scaled dot products over all prefixes; parameters (scale,)."""
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    begin = build_parts(real, scaled_score).begin
    open_operands, open_scratch, reals, exp = real.open_operands, real.open_scratch, real.pointer, real.exp
    of = f"{real.dtype}"

    def larger(a, b):
        return a if (a > b) | (a != a) else b  # a NaN of either stays

    def rescale(old, new):
        """The factor of a partial with an old maximum; 0 if that is empty."""
        return zero if old == -infinity else exp(old - new)

    def score_tokens(operands, scratch, member, first, used, lanes):
        """scratch.scores = the scores of a block of tokens, -inf where they are hidden."""
        size, query, mask, bias, scores = operands.size, operands.key, operands.mask, operands.bias, scratch.scores
        multiply(
            scores, scratch.packed, query, query.places[member], query.row, query.column, 1, size.d, lanes, size.width,
            scratch.rescale,
        )  # fmt: skip
        for lane in range(used):
            scores[lane] *= operands.parameters[0]
            if size.has_bias:
                scores[lane] += bias.memory[bias.places[member] + (first + lane) * bias.row]
            if size.has_mask:
                visible = mask.memory[mask.places[member] + (first + lane) * mask.row]
                scores[lane] = scores[lane] if visible else -infinity

    def add_token(sums, rescale, weight, value, at, e):
        """sums = sums * rescale + weight * the value that stands there."""
        if value.column == 1:
            for column in range(e):
                sums[column] = sums[column] * rescale + weight * value.memory[at + column]
        else:
            for column in range(e):
                sums[column] = sums[column] * rescale + weight * value.memory[at + column * value.column]

    larger, rescale = part(larger, of, inline=True), part(rescale, of, inline=True)
    score_tokens, add_token = part(score_tokens, of), part(add_token, of)

    def blocks_kernel(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        scores, maximum, total, sums = reals(results[0]), reals(results[1]), reals(results[2]), scratch.sums
        accumulator, value, size = reals(results[3]), operands.value, operands.size
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            score_tokens(operands, scratch, member, first, used, lanes)
            own, line = scratch.scores, scratch.line
            most, whole = -infinity, zero
            for lane in range(used):
                scores[member * size.m + first + lane] = own[lane]
                most = larger(most, own[lane])
            shift = zero if most == -infinity else most
            for lane in range(lanes):
                line[lane] = exp(own[lane] - shift)
            fill(sums, size.e, zero)
            for lane in range(used):
                if own[lane] != -infinity:
                    whole += line[lane]
                    at = value.places[member] + (first + lane) * value.row
                    add_token(sums, one, line[lane], value, at, size.e)
            target = member * (blocks + 1) + task % blocks + 1
            maximum[target], total[target] = most, whole
            for column in range(size.e):
                accumulator[target * size.e + column] = sums[column]

    def merge(start, stop, operands_table, scratch_table, results):
        size = open_operands(operands_table).size
        maximum, total, accumulator = reals(results[1]), reals(results[2]), reals(results[3])
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            if task % blocks:
                continue  # the task of a member's first block merges them all
            for before in range(task // blocks * (blocks + 1), task // blocks * (blocks + 1) + blocks):
                here = before + 1
                most = larger(maximum[before], maximum[here])
                then, now = rescale(maximum[before], most), rescale(maximum[here], most)
                maximum[here] = most
                total[here] = then * total[before] + now * total[here]
                for column in range(size.e):
                    old, new = accumulator[before * size.e + column], accumulator[here * size.e + column]
                    accumulator[here * size.e + column] = then * old + now * new

    def outputs(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        scores, maximum, total, sums = reals(results[0]), reals(results[1]), reals(results[2]), scratch.sums
        accumulator, output = reals(results[3]), reals(results[4])
        size, value, e = operands.size, operands.value, operands.size.e
        blocks = (size.m + size.queries - 1) // size.queries
        most, shrink, weight = scratch.maximum, scratch.rescale, scratch.line
        then, now, divisor = scratch.before, scratch.mean, scratch.total
        for task in range(start, stop):
            member, first = task // blocks, task % blocks * size.queries
            used = min(size.queries, size.m - first)
            own, before = member * size.m + first, member * (blocks + 1) + task % blocks
            so_far = -infinity
            for lane in range(used):
                so_far = larger(so_far, scores[own + lane])
                most[lane] = so_far
            for lane in range(used):
                shift = zero if most[lane] == -infinity else most[lane]
                shrink[lane] = exp((most[lane - 1] if lane > 0 else -infinity) - shift)
                weight[lane] = exp(scores[own + lane] - shift)
                all_most = larger(maximum[before], most[lane])
                then[lane], now[lane] = rescale(maximum[before], all_most), rescale(most[lane], all_most)
            here = zero
            for lane in range(used):
                here = here * shrink[lane] + (weight[lane] if scores[own + lane] != -infinity else zero)
                whole = then[lane] * total[before] + now[lane] * here
                divisor[lane] = one if whole == zero else whole
            fill(sums, e, zero)
            for lane in range(used):
                if scores[own + lane] != -infinity:
                    at = value.places[member] + (first + lane) * value.row
                    add_token(sums, shrink[lane], weight[lane], value, at, e)
                target, past, old, new = (own + lane) * e, before * e, then[lane], now[lane]
                for column in range(e):
                    joined = old * accumulator[past + column] + new * sums[column]
                    output[target + column] = joined / divisor[lane]

    return PrefixKernels(
        kernel(blocks_kernel, f"prefix-blocks-{real.dtype}"),
        kernel(merge, f"prefix-merge-{real.dtype}"),
        kernel(outputs, f"prefix-outputs-{real.dtype}"),
    )


def prefix_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    scale: float | None,
    mask: Array | None,
    bias: Array | None,
    method: str,
    state: tuple[Array, Array, Array] | None,
    return_state: bool,
) -> Any:
    """See `attlas_ref.dotproduct.prefix_attention`; both methods are computed alike."""
    dtype, (n, e) = query.dtype, value.shape[-2:]
    before = () if state is None else np.broadcast_shapes(state[0].shape, state[1].shape, state[2].shape[:-1])
    given = [array.shape[:-1] for array in (mask, bias) if array is not None]
    batch = np.broadcast_shapes(query.shape[:-1], key.shape[:-2], value.shape[:-2], before, *given)
    problem = lay_out(
        key,
        query[..., None, :],
        value,
        mask=None if mask is None else np.atleast_1d(mask)[..., None],
        bias=None if bias is None else np.atleast_1d(bias).astype(dtype, copy=False)[..., None],
        diagonal=None,
        batch=batch,
        parameters=(dot_scale(scale, query),),
    )
    blocks = -(-n // problem.size.queries)
    scores, maximum, total = problem.new(n), problem.new(blocks + 1), problem.new(blocks + 1)
    accumulator, output = problem.new(blocks + 1, e), problem.new(n, e)
    maximum[..., 0], total[..., 0], accumulator[..., 0, :] = (-np.inf, 0, 0) if state is None else state
    kernels = kernels_of(build_prefix, dtype)
    for one in kernels:
        over_queries(problem, one, scores, maximum, total, accumulator, output)
    if not return_state:
        return output
    last = AttentionPartial(maximum[..., -1].copy(), total[..., -1].copy(), accumulator[..., -1, :].copy())
    return PrefixResult(output, last)
