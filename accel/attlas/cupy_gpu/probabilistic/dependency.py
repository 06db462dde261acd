"""Dependencies from distances and heights.

The sum over both ends of a constituent is split. For a head to the left of its token, the ends on the right are summed
once per end l on the left, which leaves one weight for every token and l; for a head to the right it is the same in the
sentence read backward, and both directions are computed together, for some ends l at a time. Heights enter as
exponentials of differences to the highest token between two ends.
Bound by: 4 n³ exponentials, where the definition takes n⁴ multiplications. Memory: some arrays of 2 n², of more in
sentences of less than a hundred tokens.
Differs from the reference by rounding.
"""

import math
import operator
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ..tile import logistic
from .logs import finite_or_zero, nonzero, running

__all__ = ["syntactic_dependency"]

ENTRIES = 1 << 14
"""Numbers of a step, at most, for each sentence and direction, if not n². It depends on n, never on the batch."""


def syntactic_dependency(
    distance: Any, height: Any, *, distance_temperature: float, height_temperature: float, combine: str
) -> Any:
    """Return how likely token j is the parent of token i."""
    xp, n = array_namespace(height), height.shape[-1]
    batch = np.broadcast_shapes(distance.shape[:-1], height.shape[:-1])
    both = xp.zeros((*batch, 2, n, n), dtype=height.dtype)
    if n == 0:
        return both[..., 0, :, :]
    starts = _starts(xp, _both_ways(xp, distance), _both_ways(xp, height), distance_temperature, combine)
    ends = starts[..., ::-1, ::-1, ::-1]
    heights, step = _both_ways(xp, height / height_temperature), max(1, ENTRIES // n**2)
    for start in range(0, n, step):
        both = both + _heads_before(xp, slice(start, min(start + step, n)), starts, ends, heights)

    token = xp.arange(n)
    # A token or a wall that cannot be placed is in the sums of all rows that meet it: no weight is selected away.
    parents = both[..., 0, :, :] + both[..., 1, ::-1, ::-1]
    return xp.where(token == token[:, None], 0, parents)


def _both_ways(xp: Any, array: Any) -> Any:
    """Return sentences as they are and backward, (..., 2, n)."""
    return xp.stack([array, array[..., ::-1]], axis=-2)


def _starts(xp: Any, distance: Any, height: Any, temperature: float, combine: str) -> Any:
    """Return how likely the constituent of token i starts at l, (..., i, l)."""
    token = xp.arange(height.shape[-1])
    i = token[:, None]
    passed = logistic(xp, (height[..., :, None] - distance[..., None, :]) / temperature)
    passed = xp.where(token[:-1] < i, passed, 1)  # the walls to the left
    nothing = xp.full_like(passed[..., :1], 1)  # from a token to itself
    passed = xp.concatenate([nothing, passed[..., ::-1]], axis=-1)
    reach = running(xp, xp.minimum if combine == "minimum" else operator.mul, passed)[..., ::-1]
    beyond = xp.concatenate([xp.zeros_like(nothing), reach[..., :-1]], axis=-1)
    return xp.where(token <= i, reach - beyond, 0)


def _heads_before(xp: Any, some: slice, starts: Any, ends: Any, heights: Any) -> Any:
    """Return what constituents that start at some tokens l give to heads j before token i, (..., i, j); itself too."""
    token = xp.arange(heights.shape[-1])
    first, i, j = token[some, None, None], token[:, None], token  # (l, i or r, j)
    within = (first <= j) & (j <= i)
    inside = xp.where(within, heights[..., None, None, :], -math.inf)
    top = finite_or_zero(xp, inside.max(axis=-1, keepdims=True))  # (..., l, r, 1)
    parts = xp.exp(inside - top)
    mass = nonzero(xp, parts.sum(axis=-1))  # (..., l, r)

    # The highest token from l to i beside the highest one from l to r.
    beside = xp.exp(xp.where((first <= i) & (i <= j), top - top[..., 0][..., None, :], -math.inf))  # (..., l, i, r)
    onward = (ends[..., None, :, :] * beside / mass[..., None, :]).sum(axis=-1)  # (..., l, i)
    weight = starts[..., some].swapaxes(-1, -2) * onward
    return (weight[..., None] * parts).sum(axis=-3)
