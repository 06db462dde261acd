"""Associative memories in plain PyTorch."""

import functools
import math
from typing import Any

import torch

from attlas_ref import sdm_circle_intersection

from .parts import default_scale, scaled_scores


def torch_hopfield_attention(
    query: Any, key: Any, value: Any, *, beta: float | None = None, steps: int = 1, causal: bool = False
) -> Any:
    """The loop of Hopfield layers: a softmax and a product for every step, all weights in memory."""
    beta, state = default_scale(beta, query), query
    for _ in range(steps - 1):
        state = torch.softmax(scaled_scores(state, key, beta, causal), dim=-1) @ key
    return torch.softmax(scaled_scores(state, key, beta, causal), dim=-1) @ value


def torch_sdm_attention(query: Any, key: Any, value: Any, *, radius: int) -> Any:
    """Bits compared one by one, query by query: all of them at once would take m n b bytes."""
    near, keys = _circle_intersection(query.shape[-1], radius), key.to(torch.bool)
    distance = torch.stack([(row[..., None, :] != keys).sum(-1) for row in query.to(torch.bool).unbind(-2)], dim=-2)
    return _weighted(near[distance], value)


def product_sdm_attention(query: Any, key: Any, value: Any, *, radius: int) -> Any:
    """Distances by a matrix product of floats."""
    near = _circle_intersection(query.shape[-1], radius)
    distance = query.sum(-1)[..., :, None] + key.sum(-1)[..., None, :] - 2 * query @ key.mT
    return _weighted(near[distance.to(torch.int32)], value)


def _weighted(counts: Any, value: Any) -> Any:
    total = counts.sum(-1, keepdim=True)
    return counts @ value / torch.where(total == 0, 1, total)


@functools.cache
def _circle_intersection(dim: int, radius: int) -> Any:
    """For every distance, as a share of the largest."""
    table = sdm_circle_intersection(range(dim + 1), dim=dim, radius=radius, log=True)
    return torch.tensor([math.exp(entry - table[0]) for entry in table], dtype=torch.float32)
