"""Rows of a table at given places, for array programs: leading axes broadcast, and none of them is spread out."""

import math
from typing import Any

import numpy as np


def numbered(xp: Any, leading: tuple[int, ...], behind: int) -> tuple[Any, ...]:
    """Return the numbers of each leading axis, shaped as the beginning of an index with so many axes behind them.

    >>> [axis.shape for axis in numbered(np, (3, 2), behind=1)]
    [(3, 1, 1), (2, 1)]
    """
    count = len(leading)
    return tuple(xp.arange(size).reshape(-1, *(1,) * (count - axis - 1 + behind)) for axis, size in enumerate(leading))


def rows_at(xp: Any, table: Any, index: Any, core: int = 1, own: int = 1) -> Any:
    """Return the rows of a table (..., n, *core) at places (..., *own): so many axes of a row, and of places.

    >>> rows_at(np, np.array([[1.0], [2.0]]), np.array([1, 1, 0]))
    array([[2.],
           [2.],
           [1.]])
    """
    members = table.shape[: table.ndim - core - 1]
    row = table.shape[table.ndim - core :]
    if math.prod(table.shape) == 0:
        leading = np.broadcast_shapes(members, index.shape[: index.ndim - own])
        return xp.zeros((*leading, *index.shape[index.ndim - own :], *row), dtype=table.dtype)
    return table[(*numbered(xp, members, own), index)]
