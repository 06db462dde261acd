"""Attention to tuples by a polynomial of low degree: products of sums, some monomials at a time.

Monomials are evaluated where they are needed, for some rows and some of them, and never kept: beside the result there
are the sums of a block of monomials. Bound by memory traffic: evaluating costs a pass per degree, what follows is a
matrix product of (monomials, rows) and (rows, e + 1).
"""

import math
from collections import Counter
from collections.abc import Iterator
from itertools import combinations_with_replacement, islice
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ...bounds import warn_if_the_bound_says_nothing
from .. import tile as limits
from ..tile import transposed

__all__ = ["tensor_attention_lowrank"]


def tensor_attention_lowrank(
    query: Any, keys: tuple[Any, ...], values: tuple[Any, ...], *, degree: int, scale: float | None, kernel: str
) -> Any:
    """Return the mean of the tuples' values under a truncated exponential of their scores."""
    xp, (m, d), e = array_namespace(query), query.shape[-2:], values[0].shape[-1]
    factor = 1 / math.sqrt(d) if scale is None else scale
    of_keys = np.broadcast_shapes(*(key.shape[:-2] for key in keys))
    of_scores = np.broadcast_shapes(query.shape[:-2], of_keys)
    leading = np.broadcast_shapes(of_scores, *(value.shape[:-2] for value in values))
    numerator = xp.zeros((*leading, m, e), dtype=query.dtype)
    if any(key.shape[-2] == 0 for key in keys):
        return numerator
    warn_if_the_bound_says_nothing(query, keys, degree, factor)
    denominator = xp.zeros((*of_scores, m, 1), dtype=query.dtype)
    longest = min(limits.ROWS, max(m, *(key.shape[-2] for key in keys)))
    room = limits.TILE_ENTRIES // max(1, longest * math.prod(leading))
    width = max(1, min(limits.MATRIX_ENTRIES // max(longest, e + 1, 1), room))
    for channels, coefficients in _monomials(xp, d, degree, width, query.dtype):
        sums: Any = 1
        totals: Any = 1
        for key, value in zip(keys, values, strict=True):
            weighted: Any = 0
            plain: Any = 0
            for rows in _row_slices(key.shape[-2]):
                features = _evaluated(key[..., rows, :], channels)  # (..., rows, monomials)
                weighted = weighted + transposed(features) @ value[..., rows, :]
                plain = plain + features.sum(axis=-2)[..., None]
            sums, totals = sums * weighted, totals * plain
        for rows in _row_slices(m):
            features = coefficients * _evaluated(factor * query[..., rows, :], channels)
            numerator[..., rows, :] += features @ sums
            denominator[..., rows, :] += features @ totals
    return numerator / denominator


def _row_slices(count: int) -> list[slice]:
    return [slice(start, start + limits.ROWS) for start in range(0, count, limits.ROWS)]


def _monomials(xp: Any, d: int, degree: int, width: int, dtype: Any) -> Iterator[tuple[Any, Any]]:
    """Walk over all monomials of at most this degree: some of one degree, the channels of their factors, and 1/a!."""
    for total in range(degree + 1):
        walk = combinations_with_replacement(range(d), total)
        while few := list(islice(walk, width)):
            channels = np.array(few, dtype=np.int64).reshape(len(few), total)
            inverse = [1 / math.prod(map(math.factorial, Counter(index).values())) for index in few]
            yield xp.asarray(channels), xp.asarray(np.array(inverse, dtype=np.float64)).astype(dtype)


def _evaluated(rows: Any, channels: Any) -> Any:
    """Return the monomials of every row, (..., rows, monomials)."""
    degree = channels.shape[1]
    if degree == 0:
        return array_namespace(rows).full_like(rows[..., :1], 1)
    result = rows[..., channels[:, 0]]
    for place in range(1, degree):
        result = result * rows[..., channels[:, place]]
    return result
