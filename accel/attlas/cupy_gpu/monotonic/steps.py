"""What attentions that move step by step share: masks, past weights, softmax of a row, and sums of values.

A step is O(1) launches over all batch members and keys. Rows of weights are kept for some steps, so that values are
summed by one product for all of them; all (m, n) weights are held only where they are asked for.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ..tile import Tiles

ROWS = 64
"""Steps whose weights are kept."""


class Steps:
    """One call: what each step sees, and where its weights go."""

    def __init__(self, query: Any, value: Any, mask: Any, leading: Sequence[int], return_weights: bool) -> None:
        self.xp, self.dtype = array_namespace(query), query.dtype
        self.m, self.n = query.shape[-2], value.shape[-2]
        self.mask = None if mask is None else mask[(None,) * (2 - mask.ndim)]
        self.leading, self.value = tuple(leading), value
        self._tiles = Tiles(query, value, mask=self.mask, bias=None, causal=False)
        self._strange = self._tiles.strange(value)
        outer = np.broadcast_shapes(self.leading, value.shape[:-2])
        self.output = self._tiles.zeros(outer, self.m, value.shape[-1])
        self.weights = self._tiles.zeros(self.leading, self.m, self.n) if return_weights else None
        self._rows: list[Any] = []

    def seen(self, i: int) -> Any:
        """Return what a step sees, (..., n) or (..., 1); None if that is everything."""
        return None if self.mask is None else self.mask[..., i if self.mask.shape[-2] > 1 else 0, :]

    def select(self, seen: Any, x: Any, otherwise: float = 0.0) -> Any:
        """Return a row with its hidden keys replaced."""
        return x if seen is None else self.xp.where(seen, x, otherwise)

    def put(self, i: int, weights: Any) -> None:
        """Note the weights of a step, (..., n)."""
        weights = self.xp.broadcast_to(weights, (*self.leading, self.n))
        self._rows.append(weights)
        if self.weights is not None:
            self.weights[..., i, :] = weights
        if len(self._rows) == ROWS or i == self.m - 1:
            first = i + 1 - len(self._rows)
            visible = None
            if self.mask is not None:
                visible = self.mask if self.mask.shape[-2] == 1 else self.mask[..., first : i + 1, :]
            rows = self.xp.stack(self._rows, axis=-2)
            self.output[..., first : i + 1, :] = self._tiles.weighted_sum(rows, self.value, visible, self._strange)
            self._rows = []

    def read(self, seen: Any, weights: Any) -> Any:
        """Return the mean of the values under one row of weights, (..., e)."""
        visible = None if seen is None else seen[..., None, :]
        return self._tiles.weighted_sum(weights[..., None, :], self.value, visible, self._strange)[..., 0, :]


def starting_weights(steps: Steps, initial: Any) -> Any:
    """Return the weights before the first step, (..., n): as given, or what the word stands for."""
    if not isinstance(initial, str):
        return initial
    xp = steps.xp
    if initial == "uniform" and steps.m > 0:
        seen = steps.seen(0)
        if seen is not None:
            seen = xp.broadcast_to(seen, (*seen.shape[:-1], steps.n))
            return (seen / xp.maximum(seen.sum(axis=-1, keepdims=True), 1)).astype(steps.dtype)
        return xp.zeros(steps.n, dtype=steps.dtype) + 1 / max(steps.n, 1)
    return ((xp.arange(steps.n) == 0) & (initial == "first")).astype(steps.dtype)


def shifted(xp: Any, x: Any, count: int = 1) -> Any:
    """Return rows moved towards larger j, zeros in front."""
    count = min(count, x.shape[-1])
    return xp.concatenate([xp.zeros_like(x[..., :count]), x[..., : x.shape[-1] - count]], axis=-1)


def convolved(xp: Any, x: Any, kernels: Any) -> Any:
    """Return the features (..., n, c) of channels (..., h, n) under kernels (..., c, h, k)."""
    (h, n), (c, _, k) = x.shape[-2:], kernels.shape[-3:]
    edge = xp.zeros((*x.shape[:-1], k // 2), dtype=x.dtype)
    padded = xp.concatenate([edge, x, edge], axis=-1)
    windows = padded[..., xp.arange(n)[:, None] + xp.arange(k)]  # (..., h, n, k)
    windows = windows.swapaxes(-3, -2).reshape(*x.shape[:-2], n, h * k)
    return windows @ kernels.reshape(*kernels.shape[:-3], c, h * k).swapaxes(-1, -2)


def largest(xp: Any, scores: Any) -> Any:
    """Return the largest of each row, (..., 1), and 0 where that is infinite or there is none."""
    if scores.shape[-1] == 0:
        return scores.sum(axis=-1, keepdims=True)
    top = scores.max(axis=-1, keepdims=True)
    return xp.where(xp.abs(top) == math.inf, 0, top)


def divided(steps: Steps, parts: Any, seen: Any) -> Any:
    """Return parts divided by their sum, exactly 0 where hidden and where nothing is seen."""
    total = parts.sum(axis=-1, keepdims=True)
    return steps.select(seen, parts / steps.xp.where(total == 0, 1, total))


def softmax(steps: Steps, scores: Any, seen: Any) -> Any:
    """Return the softmax of a row of scores over what is seen."""
    xp = steps.xp
    scores = steps.select(seen, scores, -math.inf)
    top = largest(xp, scores)
    # An infinite score competes with no other: its difference from itself is NaN.
    return divided(steps, xp.exp(xp.where(scores == math.inf, math.nan, scores - top)), seen)
