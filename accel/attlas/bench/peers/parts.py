"""What the peers share: scaled scores and who sees whom, as tensors."""

import math
from typing import Any

import torch


def default_scale(scale: float | None, query: Any) -> float:
    """The scale of a call, 1/sqrt(d) if it gives none."""
    return 1 / math.sqrt(query.shape[-1]) if scale is None else scale


def scaled_scores(query: Any, key: Any, scale: float, causal: bool) -> Any:
    """Scaled scores; the queries are scaled, which are fewer than the scores."""
    scores = (query * scale) @ key.mT
    return scores.masked_fill_(~seen(query, key), -math.inf) if causal else scores


def seen(query: Any, key: Any) -> Any:
    """Which query sees which key: j <= i + n - m."""
    m, n = query.shape[-2], key.shape[-2]
    return torch.ones(m, n, dtype=torch.bool).tril(n - m)


def four_axes(array: Any) -> Any:
    """An array as (batch, heads, rows, width)."""
    return array.reshape(-1, *((1,) * max(0, 3 - array.ndim)), *array.shape[-3:])
