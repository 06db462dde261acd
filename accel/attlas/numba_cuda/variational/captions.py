"""Where to look while a caption is written, on Numba-CUDA: additive scores, a gate, a sentinel beside the regions.

What depends on a word or on a region alone is computed first; the pairs are left to the tile, with the products of
`network`. A sentinel is one more item of its word's softmax: a score per word, which joins the maximum and the total
that the tile leaves of the regions.

Bound by operations: T L a hyperbolic tangents, about twenty instructions each, or as many rectifications. Gate and
sentinel are bound by bytes, O(T D) of them.

Differs from the reference by rounding only. `b_score` is left out: a softmax forgets what all its scores have in
common.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult, GatedResult, GatedWeightsResult, SentinelResult, SentinelWeightsResult

from ..assemble import Assembly, product
from ..bands import ceil
from ..dense import Attention, attend
from ..learned import additive, multiplied, one_layer, projected
from ..operands import dtype_of, lay_out, leading_axes, shape_of
from ..pieces import entry, larger
from ..rules import Real, build_logistic
from ..target import allocate, cuda, device, kernel, launch, shaped, upload
from ..views import as_column, as_row, once

CONTEXT, MAXIMUM, TOTAL, TOLD, SENTINEL = range(5)
"""The rows of the table of operands where a sentinel joins."""


def opened(real: Real) -> Callable[..., Any]:
    """Make how far a gate is open: the logistic function, times what it lets through."""
    logistic = build_logistic(real)

    @device
    def entry_of_gate(gate, passing):
        return logistic(gate) * passing

    return entry_of_gate


def opened_where_seen(real: Real) -> Callable[..., Any]:
    """Make the same without anything to let through, and 0 where the total says that nothing is visible."""
    logistic, zero = build_logistic(real), real(0)

    @device
    def entry_of_gate(gate, total):
        return logistic(gate) if total != zero else zero

    return entry_of_gate


def bent_sum(real: Real) -> Callable[..., Any]:
    """Make the hyperbolic tangent of left plus right."""

    @device
    def entry_of_units(left, right):
        return real(math.tanh(left + right))

    return entry_of_units


def show_attend_attention(
    hidden: Any,
    annotations: Any,
    *,
    w_annotation: Any,
    b_annotation: Any,
    w_hidden: Any,
    b_hidden: Any,
    w_score: Any,
    b_score: float,
    w_gate: Any,
    b_gate: Any,
    activation: str,
    mask: Any,
    return_weights: bool,
    return_gate: bool,
) -> Any:
    """Compute `attlas_ref.show_attend_attention`."""
    words, regions = projected(hidden, w_hidden, b_hidden), projected(annotations, w_annotation, b_annotation)
    attention = Attention(
        additive if activation == "tanh" else one_layer, words, regions, annotations,
        mask=mask, bias=None, scale=1.0, first=0.0, extra=as_row(w_score),
    )  # fmt: skip
    found = attend(attention, return_weights)
    output, weights = (found.output, found.weights) if return_weights else (found, None)
    (*leading, count, _), dtype = shape_of(hidden), dtype_of(hidden)
    if w_gate is None:
        gate = shaped(upload(np.ones(max(1, math.prod((*leading, count))), dtype)), (*leading, count, 1))
    else:
        (*batch, _, width), gates = shape_of(output), shape_of(w_gate)[-1]
        logits, total = projected(hidden, w_gate, b_gate), as_column(shaped(attention.total, attention.rows))
        passing = Assembly(tuple(batch), count, gates, dtype).put(opened_where_seen, logits, total).matrix
        output = Assembly(tuple(batch), count, width, dtype).put(product, passing, output).matrix
        if return_gate:
            gate = Assembly(tuple(leading), count, gates, dtype).put(opened, logits).matrix
    if return_gate:
        return GatedResult(output, gate) if weights is None else GatedWeightsResult(output, weights, gate)
    return output if weights is None else AttentionResult(output, weights)


@functools.cache
def build_join(real: Real) -> Any:
    """Build the kernel that lets a sentinel join the softmax of its word; a thread makes one entry.

    `maximum` and `total` are those of the regions, `asked` has the score of the sentinel, `share` gets its weight.
    """
    zero, one, lowest = real(0), real(1), real(-math.inf)

    def join(first, block_count, m, e, source, maximum, total, asked, points, layout, factors, output):
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        parts = max(1, (e + threads - 1) // threads)
        c = index % parts * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        row = index // parts
        batch = row // m
        i = row % m
        its = entry(asked, layout, TOLD, batch, i, 0)
        theirs = entry(maximum, layout, MAXIMUM, batch, i, 0)
        largest = larger(theirs, its)
        shift = zero if largest == lowest else largest
        own = real(math.exp(its - shift))
        others = entry(total, layout, TOTAL, batch, i, 0) * real(math.exp(theirs - shift))
        whole = own + others
        divisor = whole if whole != zero else one
        if c == 0:
            factors[row] = own / divisor
        if c < e:
            context = entry(source, layout, CONTEXT, batch, i, c)
            number = entry(points, layout, SENTINEL, batch, i, c)
            output[row * e + c] = others / divisor * context + own / divisor * number

    return kernel(join)


def visual_sentinel_attention(
    hidden: Any,
    features: Any,
    sentinel: Any,
    *,
    w_feature: Any,
    w_hidden: Any,
    w_sentinel: Any,
    w_score: Any,
    mask: Any,
    return_weights: bool,
    return_sentinel: bool,
) -> Any:
    """Compute `attlas_ref.visual_sentinel_attention`."""
    words, regions = projected(hidden, w_hidden), projected(features, w_feature)
    attention = Attention(additive, words, regions, features, mask=mask, bias=None, scale=1.0, extra=as_row(w_score))
    output, share = _joined(attention, scored(words, projected(sentinel, w_sentinel), w_score), sentinel)
    if not return_weights:
        return SentinelResult(output, share) if return_sentinel else output
    weights = attention.of_scores().weights()
    return SentinelWeightsResult(output, weights, share) if return_sentinel else AttentionResult(output, weights)


def scored(words: Any, sentinels: Any, w_score: Any) -> Any:
    """Return the scores of the sentinels, (..., T, 1): each meets its own word alone."""
    words, sentinels = once(words), once(sentinels)
    batch, (count, units), dtype = leading_axes(words, sentinels), shape_of(words)[-2:], dtype_of(words)
    return multiplied(Assembly(batch, count, units, dtype).put(bent_sum, words, sentinels).matrix, as_row(w_score))


def _joined(attention: Attention, told: Any, sentinel: Any) -> tuple[Any, Any]:
    """Return the output (..., T, D) and the sentinels' weights (..., T)."""
    p = attention.problem
    context = attention.output()
    statistics = (as_column(shaped(found, attention.rows)) for found in (attention.maximum, attention.total))
    batch = leading_axes(context, told, sentinel)
    memories, layout = lay_out([context, *statistics, told, sentinel], batch)
    output, share = allocate((*batch, p.m, p.e), p.dtype), allocate((*batch, p.m), p.dtype)
    blocks = math.prod(batch) * p.m * max(1, ceil(p.e, math.prod(p.block.threads)))
    launch(build_join(p.real), blocks, p.block.threads, p.m, p.e, *memories, layout, share, output)
    return shaped(output, (*batch, p.m, p.e)), shaped(share, (*batch, p.m))
