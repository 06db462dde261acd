"""What compositions of pointers share: reading values by weights, or where a pointer stopped; what ran off the end."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..sums import weighted_sum

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["mass_preservation"]


def mass_preservation(here: "Place", alignment: Any, *, mask: Any) -> Any:
    """Find the last visible key of each row, and give it what the others leave of 1."""
    xp, n = here.xp, alignment.shape[-1]
    j = xp.arange(n)
    if mask is None:
        last, others = n - 1, xp.where(j != n - 1, alignment, 0)
    else:
        # From here on 0 in front of all keys counts too, so that no maximum is taken of nothing.
        places = xp.where(mask, j + 1, 0)
        last = places.max(axis=-1, keepdims=True) - 1 if n else -1
        others = xp.where(mask & (j != last), alignment, 0)
    taken = others.sum(axis=-1, keepdims=True)
    residual = 1 - xp.minimum(xp.maximum(taken, 0), 1)
    return xp.where(j == last, residual, others)


def read_by(here: "Place", weights: Any, value: Any, mask: Any) -> Any:
    """Return the weighted sum of the visible values."""
    xp, (m, n) = here.xp, weights.shape[-2:]
    visible = xp.arange(n) >= 0 if mask is None else mask
    return weighted_sum(here, weights, value, xp.broadcast_to(visible, (*visible.shape[:-2], m, n)))


def read_stops(xp: Any, weights: Any, value: Any) -> Any:
    """Copy the rows of the values at which one-hot weights are 1: zeros without one, NaN where a weight is."""
    (m, n), e = weights.shape[-2:], value.shape[-1]
    leading = np.broadcast_shapes(weights.shape[:-2], value.shape[:-2])
    if n == 0:
        return xp.zeros((*leading, m, e), dtype=value.dtype)
    index = xp.broadcast_to(xp.argmax(weights, axis=-1)[..., None], (*leading, m, 1))
    rows = xp.take_along_axis(xp.broadcast_to(value, (*leading, n, e)), index, axis=-2)
    rows = xp.where((weights > 0.5).any(axis=-1)[..., None], rows, 0)
    return xp.where(xp.isnan(weights).any(axis=-1)[..., None], math.nan, rows)
