"""Sums and shares of numbers that are known by their logarithms."""

import math
from typing import Any


def log_sum_exp(xp: Any, logs: Any) -> Any:
    """Return log Σ exp along the last axis, (..., 1); -inf for an empty sum."""
    if logs.shape[-1] == 0:
        return xp.full((*logs.shape[:-1], 1), -math.inf, dtype=logs.dtype)
    top = logs.max(axis=-1, keepdims=True)
    top = xp.where(xp.isinf(top), 0, top)
    return xp.log(xp.exp(logs - top).sum(axis=-1, keepdims=True)) + top


def shares(xp: Any, scores: Any, visible: Any) -> Any:
    """Return the softmax of each row over its visible entries: 0 elsewhere, and where nothing is visible."""
    scores = xp.where(visible, scores, -math.inf)
    if scores.shape[-1] == 0:
        return scores
    top = scores.max(axis=-1, keepdims=True)
    # A row without any finite score has no shift; 0 keeps exp(-inf - 0) = 0 where -inf - -inf would be NaN.
    unnormalized = xp.exp(scores - xp.where(top == -math.inf, 0, top))
    total = unnormalized.sum(axis=-1, keepdims=True)
    return xp.where(visible, unnormalized / xp.where(total == 0, 1, total), 0)
