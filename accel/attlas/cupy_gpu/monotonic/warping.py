"""Time warping, soft and hard.

All entries of an antidiagonal are computed at once. On the way back, what passes an antidiagonal is handed to the two
before it: by shares, or along the one step that was the cheapest.

Bound by the host, which begins some twenty small steps for each antidiagonal, as long as there is little to a step;
else by memory traffic, some twenty times the costs. Memory beside the result: with the alignment three shares for each
entry; for the path as many bytes.
Differs from the reference by rounding; the path in nothing.
"""

import math
from typing import Any

from array_api_compat import array_namespace

from attlas_ref.contract import SoftWarping, WarpingPath

from .paths import log_sum, shares

__all__ = ["dtw_path", "soft_dtw"]


class Diagonals:
    """Totals by antidiagonal d and row i; the column is d - i. Before the first row stands one that is infinite."""

    def __init__(self, cost: Any) -> None:
        self.xp, self.cost = array_namespace(cost), cost
        self.rows, self.columns = cost.shape[-2:]
        self.count = self.rows + self.columns - 1
        unreached = self.xp.zeros((*cost.shape[:-2], self.rows + 1), dtype=cost.dtype) + math.inf
        self.before, self.two_before = unreached, unreached.copy()
        self.two_before[..., 0] = 0

    def lanes(self, d: int) -> slice:
        """Return the rows of a diagonal."""
        return slice(max(0, d - self.columns + 1), min(self.rows, d + 1))

    def places(self, d: int) -> tuple[Any, Any]:
        """Return the rows and columns of a diagonal's entries."""
        lanes = self.lanes(d)
        i = self.xp.arange(lanes.start, lanes.stop)
        return i, d - i

    def entered_from(self, d: int) -> Any:
        """Return what paths cost in the three entries before each of a diagonal, (..., 3, lanes)."""
        lanes = self.lanes(d)
        above = slice(lanes.start, lanes.stop)
        own = slice(lanes.start + 1, lanes.stop + 1)
        parts = [self.two_before[..., above], self.before[..., above], self.before[..., own]]
        return self.xp.stack(parts, axis=-2)

    def add(self, d: int, total: Any) -> None:
        """Add the costs of a diagonal to what paths to its entries cost; what cannot be reached stays so."""
        xp, (i, j), lanes = self.xp, self.places(d), self.lanes(d)
        now = xp.zeros_like(self.before) + math.inf
        reached = xp.where(total == math.inf, math.inf, self.cost[..., i, j] + total)
        now[..., lanes.start + 1 : lanes.stop + 1] = reached
        self.before, self.two_before = now, self.before

    def value(self) -> Any:
        """Return what paths to the last entry cost, when all diagonals have been added."""
        return self.before[..., self.rows]

    def handed_back(self, shares_before: list[Any], end: Any) -> Any:
        """Return what passes each entry, (..., r, c): `end` the last, and the rest by shares (..., 3, lanes)."""
        xp = self.xp
        passed = xp.zeros(self.cost.shape, dtype=end.dtype)
        nothing = xp.zeros((*self.cost.shape[:-2], 3, self.rows + 2), dtype=end.dtype)
        later, two_later = nothing, nothing.copy()  # what they hand on, by row of the entry that hands it on
        two_later[..., 0, self.rows] = end
        for d in range(self.count - 1, -1, -1):
            lanes = self.lanes(d)
            own, below = slice(lanes.start, lanes.stop), slice(lanes.start + 1, lanes.stop + 1)
            here = (two_later[..., 0, below] + later[..., 1, below]) + later[..., 2, own]
            i, j = self.places(d)
            passed[..., i, j] = here
            handed = xp.zeros_like(nothing)
            handed[..., own] = here[..., None, :] * shares_before[d]
            later, two_later = handed, later
        return passed


def soft_dtw(cost: Any, *, gamma: float, return_alignment: bool) -> Any:
    """Return the soft minimum of the costs of all paths, and with `return_alignment` how likely they pass an entry."""
    diagonals = Diagonals(cost)
    xp = diagonals.xp
    shares_before: list[Any] = []
    for d in range(diagonals.count):
        paths = diagonals.entered_from(d) / -gamma
        diagonals.add(d, -gamma * log_sum(xp, paths, axis=-2))
        if return_alignment:
            shares_before.append(shares(xp, paths, axis=-2))
    value = diagonals.value()
    if not return_alignment:
        return value
    end = xp.where(value == math.inf, 0, xp.where(xp.isnan(value), math.nan, 1)).astype(cost.dtype)
    return SoftWarping(value, diagonals.handed_back(shares_before, end))


def dtw_path(cost: Any) -> WarpingPath:
    """Return the cost of the cheapest path, and the path."""
    diagonals = Diagonals(cost)
    steps = diagonals.xp.arange(3)[:, None]
    steps_before: list[Any] = []
    for d in range(diagonals.count):
        before = diagonals.entered_from(d)
        steps_before.append(((-before).argmax(axis=-2)[..., None, :] == steps).astype("int8"))
        diagonals.add(d, before.min(axis=-2))
    value = diagonals.value()
    return WarpingPath(value, diagonals.handed_back(steps_before, (value < math.inf).astype("int64")))
