"""Scores that involve learned functions, on Numba-CUDA.

What is linear in a query or a key alone is computed first, once per row: the "weights" of a rule that leaves products
as they are, O((m + n) d) numbers. The pairs are left to the tile, with the products of `network`.
"""

import functools
import math
from typing import Any

import numpy as np

from .assemble import Assembly, product
from .dense import Attention, attend
from .operands import dtype_of, shape_of
from .rules import Real, Rule
from .target import device
from .views import as_row, once, rows_from, spread, transposed


@functools.cache
def linear(real: Real) -> Rule:
    """Make the rule whose weights are scale <q, k> + bias: the matrix product of rows and columns."""

    @device
    def score(product, bias, scale, first):
        return scale * product + bias

    @device
    def weight(score, second):
        return score

    return Rule(score, weight=weight)


@functools.cache
def additive(real: Real) -> Rule:
    """Make the rule of softmax(u · tanh(q + k))."""

    @device
    def unit(total, x, y, factor, first):
        return total + factor * real(math.tanh(x + y))

    @device
    def score(product, bias, scale, first):
        return product

    return Rule(score, unit=unit)


@functools.cache
def one_layer(real: Real) -> Rule:
    """Make the rule of softmax(u · relu(q + k) + first)."""
    zero = real(0)

    @device
    def unit(total, x, y, factor, first):
        number = x + y
        return total + factor * (zero if zero > number else number)  # a NaN stays

    @device
    def score(product, bias, scale, first):
        return product + first

    return Rule(score, unit=unit)


@functools.cache
def two_layers(real: Real) -> Rule:
    """Make the rule of softmax(u · relu(relu(q + k) W + b) + first)."""

    @device
    def score(product, bias, scale, first):
        return product + first

    return Rule(score, second_layer=True)


def build_leaky(real: Real) -> Any:
    """Build the leaky rectifier."""
    zero = real(0)

    @device
    def leaky(number, slope):
        return number if number > zero else slope * number

    return leaky


@functools.cache
def graph(real: Real) -> Rule:
    """Make the rule of softmax(leaky(q + k + bias)), for rows of one number; first is the slope below 0."""
    leaky = build_leaky(real)

    @device
    def unit(total, x, y, factor, first):
        return total + (x + y)

    @device
    def score(product, bias, scale, first):
        return leaky(product + bias, first)

    return Rule(score, unit=unit)


@functools.cache
def graph_v2(real: Real) -> Rule:
    """Make the rule of softmax(u · leaky(q + k) + bias); first is the slope below 0."""
    leaky = build_leaky(real)

    @device
    def unit(total, x, y, factor, first):
        return total + factor * leaky(x + y, first)

    @device
    def score(product, bias, scale, first):
        return product + bias

    return Rule(score, unit=unit)


def projected(rows: Any, weight: Any, bias: Any = None) -> Any:
    """Return rows @ weight + bias, (..., m, p) @ (..., p, a) + anything that broadcasts.

    Rows that are the same memory in several members are multiplied once.
    """
    own = multiplied(once(rows), transposed(weight), bias)
    return spread(own, np.broadcast_shapes(shape_of(rows)[:-2], shape_of(own)[:-2]))


def multiplied(left: Any, right: Any, bias: Any = None, scale: float | None = 1.0) -> Any:
    """Return scale left @ right^T + bias, with rows of one width; scale None is 1 over its root."""
    return Attention(linear, left, right, mask=None, bias=bias, scale=scale).weights(normalized=False)


def graph_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    query_vector: Any,
    key_vector: Any,
    negative_slope: float,
    edge_bias: Any,
    mask: Any,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.graph_attention`."""
    query, key = multiplied(query, as_row(query_vector)), multiplied(key, as_row(key_vector))
    attention = Attention(graph, query, key, value, mask=mask, bias=edge_bias, scale=1.0, first=negative_slope)
    return attend(attention, return_weights)


def additive_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    query_weight: Any,
    key_weight: Any,
    score_vector: Any,
    score_bias: Any,
    mask: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.additive_attention`."""
    query, key = projected(query, query_weight, score_bias), projected(key, key_weight)
    attention = Attention(
        additive, query, key, value, mask=mask, bias=None, scale=1.0, causal=causal, extra=as_row(score_vector)
    )
    return attend(attention, return_weights)


def graph_attention_v2(
    query: Any,
    key: Any,
    value: Any,
    *,
    score_vector: Any,
    negative_slope: float,
    edge_bias: Any,
    mask: Any,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.graph_attention_v2`."""
    attention = Attention(
        graph_v2, query, key, value,
        mask=mask, bias=edge_bias, scale=1.0, first=negative_slope, extra=as_row(score_vector),
    )  # fmt: skip
    return attend(attention, return_weights)


def neural_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    weight1: Any,
    bias1: Any,
    weight3: Any,
    bias3: float,
    weight2: Any,
    bias2: Any,
    mask: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.neural_attention`."""
    p = shape_of(query)[-1]
    query, key = projected(query, rows_from(weight1, 0, p), bias1), projected(key, rows_from(weight1, p, 2 * p))
    rule, extra = one_layer, as_row(weight3)
    if weight2 is not None:
        h1, h2 = shape_of(weight2)
        rule, layer = two_layers, Assembly((), h1 + 2, h2, dtype_of(weight2)).put(product, weight2)
        extra = layer.put(product, as_row(bias2), row=h1).put(product, as_row(weight3), row=h1 + 1).matrix
    attention = Attention(
        rule, query, key, value, mask=mask, bias=None, scale=1.0, causal=causal, first=bias3, extra=extra
    )
    return attend(attention, return_weights)
