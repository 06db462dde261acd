"""Recursions along the last axis, all at once: chains of affine maps, and sums over windows.

q_j = f_j q_(j-1) + a_j is a chain of the maps q -> f q + a, and maps may be composed in any grouping. In each round a
map covers twice as many places, so that log2(n) rounds give all q: a few steps of the host for each, however long the
rows. Windows are put together from sums of 1, 2, 4, ... neighbors in the same way.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from .. import tile

Parts = tuple[Any, ...]
"""Arrays that stand for one sum together."""


def affine_scan(factor: Any, offset: Any) -> Any:
    """Return all q_j = factor_j q_(j-1) + offset_j, with q_(-1) = 0 whatever the first factor."""
    xp, n = array_namespace(offset), offset.shape[-1]
    reach = 1
    while reach < n:
        late = factor[..., reach:] * offset[..., :-reach] + offset[..., reach:]
        offset = xp.concatenate([offset[..., :reach], late], axis=-1)
        if 2 * reach < n:
            factor = xp.concatenate([factor[..., :reach], factor[..., reach:] * factor[..., :-reach]], axis=-1)
        reach *= 2
    return offset


def reversed_scan(factor: Any, offset: Any) -> Any:
    """Return all q_j = factor_j q_(j+1) + offset_j, from the end on."""
    return affine_scan(factor[..., ::-1], offset[..., ::-1])[..., ::-1]


def shifted(array: Any, first: float) -> Any:
    """Return an array moved one place on, with such a number in the first place."""
    xp = array_namespace(array)
    return xp.concatenate([xp.zeros_like(array[..., :1]) + first, array[..., :-1]], axis=-1)


def windows(join: Callable[[Parts, Parts], Parts], parts: Parts, width: int) -> Parts:
    """Return for each place what `width` entries up to and with it give together; there is nothing before the first."""
    result: Parts = ()
    span, done = 1, 0
    while True:
        if width & span:
            result = _joined(join, result, parts, done) if done else parts
            done += span
        if done == width:
            return result
        parts = _joined(join, parts, parts, span)
        span *= 2


def _joined(join: Callable[[Parts, Parts], Parts], parts: Parts, before: Parts, reach: int) -> Parts:
    """Join each entry with the one that stands `reach` places before, if there is one."""
    xp, left = array_namespace(parts[0]), max(0, parts[0].shape[-1] - reach)
    late = join(tuple(part[..., reach:] for part in parts), tuple(part[..., :left] for part in before))
    return tuple(xp.concatenate([part[..., :reach], end], axis=-1) for part, end in zip(parts, late, strict=True))


def plain_sum(left: Parts, right: Parts) -> Parts:
    """Join numbers."""
    return (left[0] + right[0],)


def scaled_sum(left: Parts, right: Parts) -> Parts:
    """Join sums (top, total), each for total exp(top)."""
    xp = array_namespace(left[0])
    top = xp.maximum(left[0], right[0])
    shift = xp.where(top == -math.inf, 0, top)
    return top, left[1] * xp.exp(left[0] - shift) + right[1] * xp.exp(right[0] - shift)


class Rows:
    """A call of rows of pairs: its leading axes, and its mask."""

    def __init__(self, mask: Any, *arrays: Any, rows: tuple[Any, ...] = ()) -> None:
        self.xp = array_namespace(arrays[0])
        self.mask = None if mask is None else mask[(None,) * (2 - mask.ndim)]
        self.m, self.n = arrays[0].shape[-2:]
        leading = [array.shape[:-2] for array in arrays] + [row.shape[:-1] for row in rows]
        self.batch = np.broadcast_shapes(*leading, () if self.mask is None else self.mask.shape[:-2])
        self.dtype = arrays[0].dtype

    def empty(self) -> Any:
        """Return a matrix of pairs to be filled."""
        return self.xp.empty((*self.batch, self.m, self.n), dtype=self.dtype)

    def start(self, previous: Any) -> Any:
        """Return where a pointer is before the first row, (..., n): on key 0 if nothing is said."""
        xp = self.xp
        first = (
            xp.where(xp.arange(self.n) == 0, 1, xp.zeros(self.n, dtype=self.dtype)) if previous is None else previous
        )
        return xp.broadcast_to(first, (*self.batch, self.n))

    def seen(self, i: Any) -> Any:
        """Return what is visible in row i, or in some rows; None if everything is."""
        if self.mask is None:
            return None
        if self.mask.shape[-2] == 1:
            return self.mask[..., 0, :] if isinstance(i, int) else self.mask
        return self.mask[..., i, :]

    def select(self, i: Any, row: Any, otherwise: float) -> Any:
        """Return row i, or some rows, with hidden entries replaced."""
        seen = self.seen(i)
        return row if seen is None else self.xp.where(seen, row, otherwise)

    def blocks(self) -> Iterator[slice]:
        """Yield some rows after the other, so many that all members' pairs are about those of a tile."""
        step = max(1, tile.TILE_ENTRIES // max(1, math.prod(self.batch) * self.n))
        for first in range(0, self.m, step):
            yield slice(first, min(first + step, self.m))
