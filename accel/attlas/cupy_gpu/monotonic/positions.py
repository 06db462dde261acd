"""Where a position that only moves forward goes next.

The normalizers are logarithms of running sums, twice as far ahead in every round; then the table is written at once.

Bound by memory traffic, some five times the N T² numbers of the result.
Differs from the reference by rounding: sums over suffixes share their terms.
"""

import math
from typing import Any

from array_api_compat import array_namespace

from ..probabilistic.logs import running

__all__ = ["monotonic_position_log_prob"]


def monotonic_position_log_prob(energy: Any, *, strict: bool, allow_last: bool, log: bool) -> Any:
    """Return the (logarithms of) probabilities of all moves, (..., N, T, T)."""
    xp, t = array_namespace(energy), energy.shape[-1]
    totals = running(xp, xp.logaddexp, energy[..., ::-1])[..., ::-1]  # (..., N, T): from each position on
    if strict:
        end = xp.zeros((*energy.shape[:-1], min(t, 1)), dtype=energy.dtype) - math.inf
        totals = xp.concatenate([totals[..., 1:], end], axis=-1)
    place = xp.arange(t)
    possible = (place >= place[:, None] + int(strict)) & (energy != -math.inf)[..., None, :]
    # Select: an infinite or missing energy that does not lie ahead must not be felt.
    moves = xp.where(possible, energy[..., None, :] - totals[..., None], -math.inf)
    if strict and allow_last:
        last = place == t - 1
        moves = xp.where(last[:, None] & last, 0, moves)
    return moves if log else xp.exp(moves)
