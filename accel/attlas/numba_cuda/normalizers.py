"""Other maps from scores to weights on Numba-CUDA."""

import math
from typing import Any

from . import rules
from .bands import attend_rows
from .columns import reversed_attention
from .dense import Attention, attend
from .simplex import entmax_attention as _entmax_attention
from .simplex import mapped
from .topk import TOPK

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


def sigmoid_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    offset: float | None,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.sigmoid_attention`."""
    offset = -math.log(max(key.shape[-2], 1)) if offset is None else offset
    attention = Attention(
        rules.sigmoid, query, key, value, mask=mask, bias=bias, scale=scale, causal=causal, first=offset
    )
    return attend(attention, return_weights, normalized=False)


def relu_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    length_power: float,
    squared: bool,
    normalize: str | None,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.relu_attention`."""
    rule = rules.squared_relu if squared else rules.relu
    divisor = float(max(key.shape[-2], 1)) ** length_power if normalize == "length" else 1.0
    attention = Attention(rule, query, key, value, mask=mask, bias=bias, scale=scale, causal=causal, second=divisor)
    return attend(attention, return_weights, normalized=normalize == "sum")


def softcapped_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    cap: float,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.softcapped_attention`."""
    attention = Attention(
        rules.softcapped, query, key, value, mask=mask, bias=bias, scale=scale, causal=causal, first=cap
    )
    return attend(attention, return_weights)


def cog_attention(
    query: Any, key: Any, value: Any, *, scale: float | None, mask: Any, bias: Any, causal: bool, return_weights: bool
) -> Any:
    """Compute `attlas_ref.cog_attention`."""
    attention = Attention(rules.cog, query, key, value, mask=mask, bias=bias, scale=scale, causal=causal)
    return attend(attention, return_weights)


def sparsemax(scores: Any, *, axis: int, mask: Any) -> Any:
    """Compute `attlas_ref.sparsemax`."""
    return mapped(scores, alpha=2.0, axis=axis, mask=mask)


def sparsemax_vjp(scores: Any, grad_output: Any, *, axis: int, mask: Any) -> Any:
    """Compute `attlas_ref.sparsemax_vjp`."""
    return mapped(scores, alpha=2.0, axis=axis, mask=mask, grad=grad_output)


def entmax(scores: Any, *, alpha: float, axis: int, mask: Any, method: str, iterations: int) -> Any:
    """Compute `attlas_ref.entmax`."""
    return mapped(scores, alpha=alpha, axis=axis, mask=mask, method=method, iterations=iterations)


def entmax_vjp(scores: Any, grad_output: Any, *, alpha: float, axis: int, mask: Any) -> Any:
    """Compute `attlas_ref.entmax_vjp`."""
    return mapped(scores, alpha=alpha, axis=axis, mask=mask, grad=grad_output)


def sparsemax_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.sparsemax_attention`."""
    return entmax_attention(
        query, key, value,
        alpha=2.0, scale=scale, mask=mask, bias=bias, causal=causal, return_weights=return_weights,
    )  # fmt: skip


def entmax_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    alpha: float,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.entmax_attention`."""
    return _entmax_attention(
        query, key, value,
        alpha=alpha, scale=scale, mask=mask, bias=bias, causal=causal, return_weights=return_weights,
    )  # fmt: skip


def topk_softmax_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    top_k: int,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.topk_softmax_attention`."""
    if top_k >= key.shape[-2]:
        attention = Attention(rules.softmax, query, key, value, mask=mask, bias=bias, scale=scale, causal=causal)
        return attend(attention, return_weights)
    return attend_rows(
        TOPK, query, key, value, top_k,
        mask=mask, bias=bias, scale=scale, causal=causal, return_weights=return_weights,
    )  # fmt: skip
