"""Other maps of scores in plain PyTorch: two batched products with in-place steps between."""

import math
from typing import Any

import torch

from .parts import default_scale, scaled_scores, seen


def torch_sigmoid_attention(
    query: Any, key: Any, value: Any, *, offset: Any = None, scale: Any = None, causal: bool = False
) -> Any:
    """Two products with an elementwise logistic function between."""
    offset = -math.log(max(key.shape[-2], 1)) if offset is None else offset
    return scaled_scores(query, key, default_scale(scale, query), causal).add_(offset).sigmoid_() @ value


def torch_relu_attention(
    query: Any, key: Any, value: Any, *, length_power: float = 1.0, scale: Any = None, causal: bool = False
) -> Any:
    """Two products with a rectifier between; the division by the length is moved into the scale."""
    factor = default_scale(scale, query) / max(key.shape[-2], 1) ** length_power
    return scaled_scores(query, key, factor, causal).relu_() @ value


def torch_softcapped_attention(
    query: Any, key: Any, value: Any, *, cap: float, scale: Any = None, causal: bool = False
) -> Any:
    """Two products with a tanh and a softmax between."""
    scores = scaled_scores(query, key, default_scale(scale, query) / cap, False).tanh_().mul_(cap)
    if causal:
        scores.masked_fill_(~seen(query, key), -math.inf)
    return torch.softmax(scores, dim=-1) @ value
