"""Other maps from scores to weights on Numba-CUDA."""

import math
from typing import Any

from . import rules
from .dense import Attention, attend


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
