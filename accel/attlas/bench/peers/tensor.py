"""Attention over pairs and attention by polynomials in plain PyTorch."""

import math
from typing import Any

import torch

from .parts import default_scale, scaled_scores, seen


def torch_tensor_attention(query: Any, keys: Any, values: Any, *, scale: Any = None, causal: bool = False) -> Any:
    """Pairs of keys: all triples at once."""
    first, second = keys
    scores = torch.einsum("...ic,...jc,...kc->...ijk", query * default_scale(scale, query), first, second)
    if causal:
        scores.masked_fill_(~(seen(query, first)[:, :, None] & seen(query, second)[:, None]), -math.inf)
    weights = torch.softmax(scores.flatten(-2), dim=-1).reshape(scores.shape)
    return torch.einsum("...ijk,...je,...ke->...ie", weights, *values)


def torch_fastmax_attention(
    query: Any, key: Any, value: Any, *, order: int = 2, scale: Any = None, causal: bool = False
) -> Any:
    """The polynomial of all scores."""
    scores = scaled_scores(query, key, default_scale(scale, query), False)
    weights = torch.ones_like(scores)
    for power in range(order, 0, -1):
        weights = 1 + scores * weights / power
    weights = weights * seen(query, key) if causal else weights
    return weights @ value / weights.sum(-1, keepdim=True)


def features_fastmax_attention(query: Any, key: Any, value: Any, *, order: int = 2, scale: Any = None) -> Any:
    """The second order by features, 1 + d + d² of them: no pair of a query and a key is made."""
    if order != 2:
        raise ValueError(f"order is {order}; these are the features of order 2")
    phi_query, phi_key = (_features(x * default_scale(scale, query) ** 0.5) for x in (query, key))
    state = phi_key.mT @ torch.cat([value, torch.ones_like(value[..., :1])], dim=-1)
    read = phi_query @ state
    return read[..., :-1] / read[..., -1:]


def _features(x: Any) -> Any:
    squares = (x[..., :, None] * x[..., None, :]).flatten(-2) * 0.5**0.5
    return torch.cat([torch.ones_like(x[..., :1]), x, squares], dim=-1)
