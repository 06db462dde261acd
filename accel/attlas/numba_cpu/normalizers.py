"""Other maps from scores to weights, on the CPU."""

from typing import Any

import numpy as np

from .attention import attend, dot_scale
from .columns import reversed_attention
from .operands import Array
from .real import Real
from .signed import cog_attention
from .simplex import entmax, entmax_attention, entmax_vjp, sparsemax, sparsemax_attention, sparsemax_vjp
from .tile import Kernels, build, elementwise, softmax
from .topk import topk_softmax_attention

__all__ = [
    "cog_attention",
    "entmax",
    "entmax_attention",
    "entmax_vjp",
    "relu_attention",
    "reversed_attention",
    "sigmoid_attention",
    "softcapped_attention",
    "sparsemax",
    "sparsemax_attention",
    "sparsemax_vjp",
    "topk_softmax_attention",
]


def build_sigmoid(real: Real) -> Kernels:
    """Logistic weights; parameters (scale, offset)."""
    sigmoid = real.sigmoid

    def score(dot, query_square, key_square, bias, parameters):
        return (parameters[0] * dot + bias) + parameters[1]

    def weight(score, parameters):
        return sigmoid(score)

    return build("sigmoid", real, score, elementwise(real, weight))


def sigmoid_attention(
    query: Array, key: Array, value: Array, *, offset: float | None, scale: float | None, **options: Any
) -> Any:
    """See `attlas_ref.normalizers.sigmoid_attention`."""
    offset = -float(np.log(max(key.shape[-2], 1))) if offset is None else offset
    return attend(build_sigmoid, query, key, value, dot_scale(scale, query), offset, divide=False, **options)


def build_relu(real: Real) -> Kernels:
    """Rectified weights; parameters (scale, factor, 1 if squared else 0)."""
    zero = real.number(0)

    def score(dot, query_square, key_square, bias, parameters):
        return parameters[0] * dot + bias

    def weight(score, parameters):
        positive = zero if score <= zero else score  # a NaN stays
        return (positive * positive if parameters[2] > zero else positive) * parameters[1]

    return build("relu", real, score, elementwise(real, weight))


def relu_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    length_power: float,
    squared: bool,
    normalize: str | None,
    scale: float | None,
    **options: Any,
) -> Any:
    """See `attlas_ref.normalizers.relu_attention`."""
    factor = 1 / float(max(key.shape[-2], 1)) ** length_power if normalize == "length" else 1.0
    parameters = dot_scale(scale, query), factor, float(squared)
    return attend(build_relu, query, key, value, *parameters, divide=normalize == "sum", **options)


def build_softcapped(real: Real) -> Kernels:
    """Softmax of capped scores; parameters (scale, cap)."""
    tanh = real.tanh

    def score(dot, query_square, key_square, bias, parameters):
        return parameters[1] * tanh((parameters[0] * dot + bias) / parameters[1])

    return build("softcapped", real, score, softmax(real))


def softcapped_attention(
    query: Array, key: Array, value: Array, *, cap: float, scale: float | None, **options: Any
) -> Any:
    """See `attlas_ref.normalizers.softcapped_attention`."""
    return attend(build_softcapped, query, key, value, dot_scale(scale, query), cap, **options)


__all__ = [
    "entmax",
    "entmax_attention",
    "entmax_vjp",
    "relu_attention",
    "sigmoid_attention",
    "softcapped_attention",
    "sparsemax",
    "sparsemax_attention",
    "sparsemax_vjp",
    "topk_softmax_attention",
]
