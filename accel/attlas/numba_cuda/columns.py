"""Attention that is normalized along the queries, on Numba-CUDA.

Two passes of the tile, both bound by operations: m n (2 d + e) multiply-adds. The first has keys for its own rows and
queries for the others; it leaves a statistic or two of every column of scores, O(n) numbers. The second is an ordinary
one, whose rule reads the numbers of its key. Memory beside the result is O(m + n).

The product of a pair is the same sum in both passes, so a score lies above its column's maximum by the rounding of a
multiply-add at most. Results differ from the reference by rounding: a gate is divided by the column's total before it
meets the weight.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .assemble import Assembly, product
from .dense import Attention, attend
from .learned import build_leaky
from .operands import dtype_of, leading_axes, shape_of
from .rules import Real, Rule, softmax
from .target import device, shaped
from .views import as_column, transposed, turned, upside_down


def shift(real: Real) -> Callable[..., Any]:
    """Make what is taken off the scores of a column: its maximum, or 0 where nothing is visible."""
    zero, lowest = real(0), real(-math.inf)

    @device
    def entry(left, right):
        return zero if left == lowest else left

    return entry


def share(real: Real) -> Callable[..., Any]:
    """Make the factor of a column: its gate over its total."""
    zero, one = real(0), real(1)

    @device
    def entry(left, right):
        return left / (right if right != zero else one)

    return entry


@functools.cache
def sent(real: Real) -> Rule:
    """Make the rule of factor_j exp(scale <q, k> + bias - shift_j); second is the least sum to divide a row by."""

    @device
    def score(product, bias, scale, first, shift, factor):
        return real(math.exp((scale * product + bias) - shift)) * factor

    @device
    def weight(score, second):
        return score

    @device
    def divisor(total, second):
        return second if total < second else total  # a NaN stays

    return Rule(score, weight=weight, of_key=True, divisor=divisor)


def numbers_of_keys(
    query: Any, key: Any, *, gate: Any = None, scale: float | None, mask: Any, bias: Any, causal: bool = False
) -> Any:
    """Return what the rule of a key's column reads, (..., n, 2): its `shift`, and its `share` of a gate or of 1."""
    # With both sequences in reverse, a key's receivers are those up to a diagonal again: the last key's, all from the
    # last query on.
    senders = Attention(
        softmax, upside_down(key), upside_down(query),
        mask=None if mask is None else turned(mask), bias=None if bias is None else turned(bias),
        scale=scale, diagonal=0 if causal else None,
    )  # fmt: skip
    senders.output(normalized=False)
    maximum, total = (upside_down(as_column(shaped(found, senders.rows))) for found in (senders.maximum, senders.total))
    gate = None if gate is None else as_column(gate)
    numbers = Assembly(leading_axes(maximum, gate), shape_of(key)[-2], 2, dtype_of(query)).put(shift, maximum)
    return numbers.put(share, np.ones((1, 1), numbers.dtype) if gate is None else gate, total, column=1).matrix


def reversed_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    sender_gate: Any,
    renormalize: bool,
    eps: float,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.reversed_attention`."""
    of_keys = numbers_of_keys(query, key, gate=sender_gate, scale=scale, mask=mask, bias=bias, causal=causal)
    attention = Attention(
        sent, query, key, value,
        mask=mask, bias=bias, scale=scale, causal=causal, second=eps, extra=of_keys,
    )  # fmt: skip
    return attend(attention, return_weights, normalized=renormalize)


@functools.cache
def bent_square(real: Real) -> Rule:
    """Make the rule of leaky(<q, k>)²; first is the slope below 0."""
    leaky = build_leaky(real)

    @device
    def score(product, bias, scale, first):
        return leaky(product, first)

    @device
    def weight(score, second):
        return score * score

    return Rule(score, weight=weight)


@functools.cache
def stacked(real: Real) -> Rule:
    """Make the rule of softmax(bias · leaky(<q, k>) / (√square_j + scale)); first is the slope below 0."""
    leaky, zero, one = build_leaky(real), real(0), real(1)

    @device
    def score(product, bias, scale, first, square, same):
        norm = real(math.sqrt(square)) + scale
        return bias * (leaky(product, first) / (norm if norm != zero else one))

    return Rule(score, of_key=True)


def stacked_cross_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    inverse_temperature: Any,
    factors: Any,
    slope: float,
    eps: float,
    mask: Any,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.stacked_cross_attention`; the inverse temperature of a query stands in place of the bias."""
    if factors is not None:
        (m, d), batch = shape_of(query)[-2:], leading_axes(query, factors)
        query = Assembly(batch, m, d, dtype_of(query)).put(product, query, factors).matrix
    columns = Attention(
        bent_square, key, query,
        mask=None if mask is None else transposed(mask), bias=None, scale=1.0, first=slope,
    )  # fmt: skip
    columns.output(normalized=False)
    attention = Attention(
        stacked, query, key, value, mask=mask, bias=as_column(inverse_temperature), scale=eps, first=slope,
        extra=as_column(shaped(columns.total, columns.rows)),
    )  # fmt: skip
    return attend(attention, return_weights)
