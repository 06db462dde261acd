"""Orthogonal matching pursuit: an orthonormal basis of what has been chosen grows column by column.

A step takes some dozen launches, over N d numbers of each problem: the features meet the residual in a matrix product,
the chosen column is made orthogonal to the basis twice, and the residual loses its part along it. The coefficients are
found at the end, by substitution in the triangle of a QR factorization.

Bound by memory traffic, k reads of the features; where problems are small, by the launches.
Differs from the reference by rounding, and where rounding decides a choice; coefficients of columns that depend on each
other but for rounding are 0 from the second one on.
"""

from typing import Any

import numpy as np
from array_api_compat import array_namespace

from attlas_ref.contract import SelectionResult

from ...gathering import numbered

__all__ = ["orthogonal_matching_pursuit"]


def orthogonal_matching_pursuit(features: Any, target: Any, *, k: int, return_coefficients: bool) -> Any:
    """Return the features in the order of their choice, and the coefficients of least squares."""
    xp, (count, d), dtype = array_namespace(features), features.shape[-2:], features.dtype
    batch = np.broadcast_shapes(features.shape[:-2], target.shape[:-1])
    wide, residual = xp.broadcast_to(features, (*batch, count, d)), xp.broadcast_to(target, (*batch, count))
    order, parts = xp.zeros((*batch, k), dtype="int64"), xp.zeros((*batch, k), dtype=dtype)
    basis, triangle = xp.zeros((*batch, k, count), dtype=dtype), xp.zeros((*batch, k, k), dtype=dtype)
    taken = xp.zeros((*batch, d), dtype="bool")
    for t in range(k):
        match = abs((features.swapaxes(-1, -2) @ residual[..., None])[..., 0])  # (..., d)
        best = xp.where(taken, -1, match).argmax(axis=-1)[..., None]
        order[..., t] = best[..., 0]
        taken = taken | (xp.arange(d) == best)
        column = xp.take_along_axis(wide, best[..., None], axis=-1)[..., 0]  # (..., N)
        own, length = _apart(xp, column, basis[..., :t, :], triangle[..., t]) if t else (column, _length(xp, column))
        dependent = length <= 8 * float(np.finfo(dtype).eps) * _length(xp, column)  # a NaN is not
        own = xp.where(dependent, 0, own / xp.where(dependent, 1, length))
        basis[..., t, :] = own
        triangle[..., t, t] = xp.where(dependent, 0, length)[..., 0]
        part = (own * residual).sum(axis=-1, keepdims=True)
        parts[..., t] = part[..., 0]
        residual = residual - part * own
    if not return_coefficients:
        return order
    solved = xp.zeros((*batch, k), dtype=dtype)
    for t in range(k - 1, -1, -1):
        rest = parts[..., t] - (triangle[..., t, t + 1 :] * solved[..., t + 1 :]).sum(axis=-1)
        pivot = triangle[..., t, t]
        solved[..., t] = xp.where(pivot == 0, 0, rest / xp.where(pivot == 0, 1, pivot))
    coefficients = xp.zeros((*batch, d), dtype=dtype)
    coefficients[(*numbered(xp, batch, 1), order)] = solved
    return SelectionResult(order, coefficients)


def _length(xp: Any, column: Any) -> Any:
    return xp.sqrt((column * column).sum(axis=-1, keepdims=True))


def _apart(xp: Any, column: Any, basis: Any, shares: Any) -> tuple[Any, Any]:
    """Return a column less its parts along a basis, and its length; the parts are added to the first of `shares`."""
    for _ in range(2):  # once leaves parts as large as rounding
        share = (basis @ column[..., None])[..., 0]  # (..., t)
        column = column - (share[..., None] * basis).sum(axis=-2)
        shares[..., : share.shape[-1]] += share
    return column, _length(xp, column)
