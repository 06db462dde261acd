"""Scores that involve learned functions, on the CPU.

What is linear in a query or a key alone is computed first, once per row: O((m + n) d) numbers. The pairs are left to
the kernels.
"""

from functools import cache
from typing import Any

import numpy as np

from .attention import attend
from .network import bent_sum, two_layers
from .operands import Array
from .product import projected
from .real import Real
from .tile import Kernels, build, softmax

__all__ = ["additive_attention", "graph_attention", "graph_attention_v2", "neural_attention"]


def _biased(product, query_square, key_square, bias, parameters):
    return product + bias


def _shifted(product, query_square, key_square, bias, parameters):
    return product + parameters[0]


@cache
def tanh_sum(real: Real) -> Any:
    """Make the product u · tanh(q + k)."""
    tanh = real.tanh

    def bend_tanh(x, parameters):
        return tanh(x)

    return bent_sum(real, bend_tanh)


def build_additive(real: Real) -> Kernels:
    """Softmax of u · tanh(q + k)."""
    return build("additive", real, _biased, softmax(real), product=tanh_sum(real))


def additive_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    query_weight: Array,
    key_weight: Array,
    score_vector: Array,
    score_bias: Array | None,
    **options: Any,
) -> Any:
    """See `attlas_ref.dotproduct.additive_attention`."""
    query, key = projected(query, query_weight, score_bias), projected(key, key_weight)
    return attend(build_additive, query, key, value, bias=None, extra=score_vector[None, :], **options)


def build_one_layer(real: Real) -> Kernels:
    """Softmax of u · relu(q + k) + b; parameters (b,)."""
    zero = real.number(0)

    def bend_relu(x, parameters):
        return zero if zero > x else x  # a NaN stays

    return build("one-layer", real, _shifted, softmax(real), product=bent_sum(real, bend_relu))


def build_two_layers(real: Real) -> Kernels:
    """Softmax of u · relu(relu(q + k) W + c) + b; parameters (b, width of the second layer)."""
    return build("two-layers", real, _shifted, softmax(real), product=two_layers(real))


def neural_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    weight1: Array,
    bias1: Array,
    weight3: Array,
    bias3: float,
    weight2: Array | None,
    bias2: Array | None,
    **options: Any,
) -> Any:
    """See `attlas_ref.dotproduct.neural_attention`."""
    p = query.shape[-1]
    query, key = projected(query, weight1[:p], bias1), projected(key, weight1[p:])
    if weight2 is None or bias2 is None:
        return attend(build_one_layer, query, key, value, bias3, bias=None, extra=weight3[None, :], **options)
    second = np.concatenate([weight2, bias2[None, :], weight3[None, :]])
    parameters = bias3, float(weight3.size)
    return attend(build_two_layers, query, key, value, *parameters, bias=None, extra=second, **options)


def build_graph(real: Real) -> Kernels:
    """Softmax of bent scores; parameters (slope below 0,)."""
    zero = real.number(0)

    def leaky_score(dot, query_square, key_square, bias, parameters):
        total = dot + bias
        return total if total > zero else parameters[0] * total

    return build("graph", real, leaky_score, softmax(real))


def graph_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    query_vector: Array,
    key_vector: Array,
    negative_slope: float,
    edge_bias: Array | None,
    **options: Any,
) -> Any:
    """See `attlas_ref.dotproduct.graph_attention`: a sum of two terms is the dot product of (a, 1) and (1, b)."""
    of_query, of_key = query @ query_vector[..., :, None], key @ key_vector[..., :, None]
    query = np.concatenate([of_query, np.ones_like(of_query)], axis=-1)
    key = np.concatenate([np.ones_like(of_key), of_key], axis=-1)
    return attend(build_graph, query, key, value, negative_slope, bias=edge_bias, causal=False, **options)


def build_graph_v2(real: Real) -> Kernels:
    """Softmax of a · leaky(q + k) + bias; parameters (slope below 0,)."""
    zero = real.number(0)

    def bend_leaky(x, parameters):
        return x if x > zero else parameters[0] * x

    return build("graph-v2", real, _biased, softmax(real), product=bent_sum(real, bend_leaky))


def graph_attention_v2(
    query: Array,
    key: Array,
    value: Array,
    *,
    score_vector: Array,
    negative_slope: float,
    edge_bias: Array | None,
    **options: Any,
) -> Any:
    """See `attlas_ref.dotproduct.graph_attention_v2`."""
    vector = score_vector[..., None, :]
    options |= {"bias": edge_bias, "causal": False, "extra": vector}
    return attend(build_graph_v2, query, key, value, negative_slope, **options)
