"""Joining, turning and cutting arrays whose leading axes broadcast."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np


def side_by_side(xp: Any, first: Any, second: Any) -> Any:
    """Return two arrays of rows with their features one after the other; their leading axes broadcast."""
    rows = xp.broadcast_arrays(first[..., :1], second[..., :1])[0].shape[:-1]
    parts = [xp.broadcast_to(part, (*rows, part.shape[-1])) for part in (first, second)]
    return xp.concat(parts, axis=-1)


def joined(xp: Any, first: Any, second: Any) -> Any:
    """Return two arrays of rows, the rows one after the other; their leading axes broadcast."""
    leading = xp.broadcast_arrays(first[..., :1, :1], second[..., :1, :1])[0].shape[:-2]
    return xp.concat([xp.broadcast_to(part, (*leading, *part.shape[-2:])) for part in (first, second)], axis=-2)


def spread(xp: Any, array: Any, *leading: Sequence[int]) -> Any:
    """Return rows with leading axes broadcast to further ones, as a view.

    A mask of a composition may have the leading axes of any of its arrays, also of one that a kernel does not see.
    """
    shape = np.broadcast_shapes(array.shape[:-2], *leading)
    return xp.broadcast_to(array, (*shape, *array.shape[-2:]))


def turned(pairs: Any) -> Any:
    """Return what broadcasts to (..., m, n) such that it broadcasts to (..., n, m)."""
    if pairs is None:
        return None
    return pairs[(None,) * (2 - pairs.ndim)].swapaxes(-1, -2)


def held(array: Any) -> Any:
    """Return what an array holds: one entry of each axis along which it repeats itself.

    A function of all entries is then as small as the array, not as what it broadcasts to. Where nothing is held, the
    steps say nothing.
    """
    if 0 in array.shape:
        return array
    return array[tuple(slice(0, 1) if step == 0 else slice(None) for step in array.strides)]


ENTRIES = 2**22
"""How many numbers a composition holds at a time, of those that it makes for pairs."""


def row_blocks(rows: int, width: int) -> Iterator[slice]:
    """Yield some rows after the other, so many that their pairs are at most `ENTRIES` numbers; one block of none."""
    step = max(1, ENTRIES // max(1, width))
    for start in range(0, max(rows, 1), step):
        yield slice(start, start + step)
