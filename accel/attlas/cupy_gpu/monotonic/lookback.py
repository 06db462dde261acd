"""What a stop of a pointer reads behind it: a chunk of keys, or all of them; and sums over windows.

Some rows at a time are computed at once, with windows and scans along the keys (`scans`). Windows of energies are kept
as (top, total), for total exp(top), so that energies may be any distance apart.
Bound by memory traffic: for chunks of w keys about 20 log2(w) readings and writings of the rows, for all keys about 40
log2(n). Memory beside the result is about ten times some rows.
Differs from the reference by rounding.
"""

import math
from typing import Any

from array_api_compat import array_namespace

from ..probabilistic.logs import finite_or_zero, nonzero, running
from .scans import Rows, affine_scan, plain_sum, reversed_scan, scaled_sum, shifted, windows

__all__ = ["infinite_lookback_weights", "mocha_weights", "moving_sum"]


def mocha_weights(alignment: Any, energy: Any, *, chunk_size: int, mask: Any) -> Any:
    """Share each stop's mass out over the chunk that ends there."""
    rows = Rows(mask, alignment, energy)
    out, width = rows.empty(), max(1, min(chunk_size, rows.n))
    for some in rows.blocks():
        mass, scores = _some(rows, some, alignment, energy)
        out[..., some, :] = rows.select(some, _chunked(rows.xp, mass, scores, width), 0)
    return out


def _some(rows: Rows, some: slice, alignment: Any, energy: Any) -> tuple[Any, Any]:
    """Return some rows, at their common shape, without what is hidden."""
    xp = rows.xp
    mass, scores = rows.select(some, alignment[..., some, :], 0), rows.select(some, energy[..., some, :], -math.inf)
    shape = (*rows.batch, *mass.shape[-2:])
    return xp.broadcast_to(mass, shape), xp.broadcast_to(scores, shape)


def _chunked(xp: Any, mass: Any, energy: Any, width: int) -> Any:
    # One for each key, but NaN where its energy is no number: inf - inf.
    one = xp.where(energy == -math.inf, 1, 1 + (energy - energy))
    top, total = windows(scaled_sum, (energy, one), width)
    empty = top == -math.inf
    # What stops at a chunk is divided by its sum; a window that begins here ends here in the reversed order.
    shares = xp.where(empty, mass * 0, mass / xp.where(empty, 1, total))
    ahead = (xp.where(empty, top, -top)[..., ::-1], shares[..., ::-1])
    top, total = (part[..., ::-1] for part in windows(scaled_sum, ahead, width))
    return total * xp.exp(energy + finite_or_zero(xp, top))


def infinite_lookback_weights(alignment: Any, energy: Any, *, mask: Any) -> Any:
    """Share each stop's mass out over all keys up to it."""
    rows = Rows(mask, alignment, energy)
    out = rows.empty()
    for some in rows.blocks():
        mass, scores = _some(rows, some, alignment, energy)
        out[..., some, :] = rows.select(some, _looked_back(rows.xp, mass, scores), 0)
    return out


def _looked_back(xp: Any, mass: Any, energy: Any) -> Any:
    largest = running(xp, xp.maximum, energy)
    shift = finite_or_zero(xp, largest)
    own, carried = xp.exp(energy - shift), xp.exp(shifted(largest, -math.inf) - shift)
    total = affine_scan(carried, own)
    divisor = nonzero(xp, total)
    rest = carried * shifted(total, 0) / divisor  # what goes on to the key before
    ahead = shifted(rest[..., ::-1], 0)[..., ::-1]
    return own / divisor * reversed_scan(ahead, mass)


def moving_sum(x: Any, *, back: int, forward: int) -> Any:
    """Sum windows; zeros stand behind the last entry."""
    xp, n = array_namespace(x), x.shape[-1]
    before, after = (max(min(width, n) - 1, 0) for width in (back, forward))  # a window sees n entries at most
    padded = xp.concatenate([x, xp.zeros((*x.shape[:-1], after), dtype=x.dtype)], axis=-1)
    (total,) = windows(plain_sum, (padded,), before + 1 + after)
    return total[..., after:]
