"""Monomials of rows, some at a time: made where they are needed, and never kept.

Bound by memory traffic: evaluating costs a pass per degree, what follows is a matrix product of (monomials, rows) and
(rows, width).
"""

import math
from collections import Counter
from collections.abc import Iterator
from itertools import combinations_with_replacement, islice
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from .. import tile as limits
from ..tile import transposed


class Monomials(NamedTuple):
    """Some monomials of one degree."""

    channels: Any
    """(monomials, degree): the channels of their factors."""
    shares: Any
    """(monomials,): 1 / a!."""


def walk_monomials(xp: Any, d: int, degree: int, width: int, dtype: Any) -> Iterator[Monomials]:
    """Walk over all monomials of at most this degree, at most `width` at a time."""
    for total in range(degree + 1):
        walk = combinations_with_replacement(range(d), total)
        while few := list(islice(walk, width)):
            channels = np.array(few, dtype=np.int64).reshape(len(few), total)
            inverse = [1 / math.prod(map(math.factorial, Counter(index).values())) for index in few]
            yield Monomials(xp.asarray(channels), xp.asarray(np.array(inverse, dtype=np.float64)).astype(dtype))


def how_many(rows: int, columns: int, leading: tuple[int, ...]) -> int:
    """Return how many monomials at a time keep within the limits of a tile; what is summed has so many columns."""
    longest = min(limits.ROWS, rows)
    room = limits.TILE_ENTRIES // max(1, longest * math.prod(leading))
    return max(1, min(limits.MATRIX_ENTRIES // max(longest, columns, 1), room))


def row_slices(count: int) -> list[slice]:
    """Cut rows as tiles do."""
    return [slice(start, min(count, start + limits.ROWS)) for start in range(0, count, limits.ROWS)]


def evaluated(rows: Any, channels: Any) -> Any:
    """Return the monomials of every row, (..., rows, monomials)."""
    degree = channels.shape[1]
    if degree == 0:
        return array_namespace(rows).full_like(rows[..., :1], 1)
    result = rows[..., channels[:, 0]]
    for place in range(1, degree):
        result = result * rows[..., channels[:, place]]
    return result


def moments(rows: Any, beside: Any, channels: Any) -> Any:
    """Return, for each monomial, the sum of what stands beside the rows, each times the monomial of its row."""
    total: Any = 0
    for span in row_slices(rows.shape[-2]):
        total = total + transposed(evaluated(rows[..., span, :], channels)) @ beside[..., span, :]
    return total


def slopes(rows: Any, channels: Any, pull: Any) -> Any:
    """Return the gradient of the sum of pull times monomials by the rows, (..., rows, d): one factor after the other.

    Which channel a factor is of is a matrix of zeros and ones, so that no two threads add to one entry.
    """
    xp, d = array_namespace(rows), rows.shape[-1]
    total: Any = 0
    for place in range(channels.shape[1]):
        others = pull
        for other in range(channels.shape[1]):
            if other != place:
                others = others * rows[..., channels[:, other]]
        total = total + others @ (channels[:, place, None] == xp.arange(d)).astype(rows.dtype)
    return total
