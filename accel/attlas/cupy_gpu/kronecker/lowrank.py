"""Attention to tuples by a polynomial of low degree: products of sums, some monomials at a time.

Beside the result there are the sums of a block of monomials. Bound by memory traffic, see `monomials`.
"""

import math
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ...bounds import largest_mean_square, warn_if_the_bound_says_nothing
from ..tile import transposed
from .monomials import evaluated, how_many, row_slices, walk_monomials

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
    warn_if_the_bound_says_nothing(largest_mean_square(query, keys), degree, factor)
    denominator = xp.zeros((*of_scores, m, 1), dtype=query.dtype)
    width = how_many(max(m, *(key.shape[-2] for key in keys)), e + 1, leading)
    for channels, shares in walk_monomials(xp, d, degree, width, query.dtype):
        sums: Any = 1
        totals: Any = 1
        for key, value in zip(keys, values, strict=True):
            weighted: Any = 0
            plain: Any = 0
            for rows in row_slices(key.shape[-2]):
                features = evaluated(key[..., rows, :], channels)  # (..., rows, monomials)
                weighted = weighted + transposed(features) @ value[..., rows, :]
                plain = plain + features.sum(axis=-2)[..., None]
            sums, totals = sums * weighted, totals * plain
        for rows in row_slices(m):
            features = shares * evaluated(factor * query[..., rows, :], channels)
            numerator[..., rows, :] += features @ sums
            denominator[..., rows, :] += features @ totals
    return numerator / denominator
