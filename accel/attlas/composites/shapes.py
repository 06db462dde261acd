"""Joining arrays whose leading axes broadcast."""

from collections.abc import Sequence
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
