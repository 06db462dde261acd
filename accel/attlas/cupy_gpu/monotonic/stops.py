"""Pointers row after row: as they are used, the first good key from the last stop on; or to stay or move to the next.

All members and all keys of a row are looked at together, so that a row takes about ten steps of the host however long
it is; a pointer alone would inspect m + n keys.
Stops differ from the reference in nothing, since the same numbers are compared; the pointer that stays or moves differs
by rounding.
"""

import math
from collections.abc import Callable
from typing import Any

from attlas_ref.contract import HardAlignment

from .scans import Rows

__all__ = ["monotonic_hard_alignment", "sampled_monotonic_alignment", "stepwise_monotonic_alignment"]


def monotonic_hard_alignment(
    p_choose: Any, *, threshold: float, previous: Any, mask: Any, stay_on_last: bool, return_index: bool
) -> Any:
    """Stop where p reaches the threshold."""
    rows = Rows(mask, p_choose, rows=() if previous is None else (previous,))
    return _stopped(rows, p_choose, lambda i, chance: chance >= threshold, previous, stay_on_last, return_index)


def sampled_monotonic_alignment(
    p_choose: Any, *, uniform: Any, previous: Any, mask: Any, stay_on_last: bool, return_index: bool
) -> Any:
    """Stop where a draw is below p."""
    rows = Rows(mask, p_choose, uniform, rows=() if previous is None else (previous,))
    return _stopped(rows, p_choose, lambda i, chance: uniform[..., i, :] < chance, previous, stay_on_last, return_index)


def _stopped(
    rows: Rows, p: Any, stops: Callable[[int, Any], Any], previous: Any, stay_on_last: bool, return_index: bool
) -> Any:
    xp, n = rows.xp, rows.n
    out, index = rows.empty(), xp.zeros((*rows.batch, rows.m), dtype="int64")
    j, lost = xp.arange(n), xp.zeros((*rows.batch, 1), dtype=bool)
    at = _start(rows, previous)  # (..., 1)
    for i in range(rows.m if n else 0):
        chance, seen = p[..., i, :], rows.seen(i)
        unknown = xp.isnan(chance)
        good = (j >= at) & (unknown | stops(i, chance))
        at = xp.where(good if seen is None else good & seen, j, n).min(axis=-1, keepdims=True)
        lost = lost | (unknown & (j == at)).any(axis=-1, keepdims=True)
        if stay_on_last:
            last = n - 1 if seen is None else xp.where(seen, j, -1).max(axis=-1, keepdims=True)
            at = xp.where((at == n) & (last >= 0), last, at)
        chosen = xp.where(j == at, 1, xp.zeros(n, dtype=rows.dtype))
        out[..., i, :] = xp.where(lost if seen is None else lost & seen, math.nan, chosen)
        index[..., i] = at[..., 0]
    return HardAlignment(out, index) if return_index else out


def _start(rows: Rows, previous: Any) -> Any:
    """Return where the pointer is before the first row: n if it has run off."""
    if previous is None or rows.n == 0:
        return rows.xp.zeros((*rows.batch, 1), dtype="int64")
    return rows.xp.where((previous > 0).any(axis=-1), previous.argmax(axis=-1), rows.n)[..., None]


def stepwise_monotonic_alignment(p_stay: Any, *, previous: Any, mask: Any, hard: bool, absorb_last: bool) -> Any:
    """Return the probability of each place of a pointer that stays or moves on; a row takes some steps of the host."""
    rows = Rows(mask, p_stay, rows=() if previous is None else (previous,))
    xp, alpha, out, j = rows.xp, rows.start(previous), rows.empty(), rows.xp.arange(rows.n)
    for i in range(rows.m if rows.n else 0):
        stay, seen = p_stay[..., i, :], rows.seen(i)
        if hard:
            stay = xp.where(xp.isnan(stay), stay, xp.where(stay >= 0.5, 1, xp.zeros_like(stay)))
        if absorb_last:
            last = rows.n - 1 if seen is None else xp.where(seen, j, -1).max(axis=-1, keepdims=True)
            stay = xp.where(j == last, 1, stay)
        moving = rows.select(i, alpha * (1 - stay), 0)
        shifted = xp.concatenate([xp.zeros_like(moving[..., :1]), moving[..., :-1]], axis=-1)
        alpha = rows.select(i, alpha * stay + shifted, 0)
        out[..., i, :] = alpha
    return out
