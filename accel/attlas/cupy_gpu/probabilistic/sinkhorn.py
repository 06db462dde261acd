"""Entropic optimal transport: Sinkhorn's steps on a kernel that is kept in range.

With g = G + log v the plan is u_i K_ij v_j, where the rows of K are softmaxes over G_j - C_ij / epsilon. G is absorbed
into K, which stands where the plan will stand; v and u / a remain near 1 while the steps settle. A step is then two
products of K with a vector, and nothing is exponentiated. Rounds of such steps are made; only then the host asks
whether all scalings stayed in range. Where they did not, as in the first steps with a small epsilon, the round is made
again in logarithms from the costs, and K with it. Each member is decided for by itself.

A member at rest keeps its potentials while others move on. What the sums of the columns say of its error they say to
the next step too, so that a tolerance costs no pass.

Bound by memory traffic: K is read twice per step; a step in logarithms makes two passes over the tiles.
Differs from the reference by rounding. What K has lost below the smallest normal number is less than rounding in every
sum it would take part in.
"""

import math
from typing import Any

import numpy as np

from ..tile import Tile, transposed
from .transport import Logs, log_ratio, pairs_of

__all__ = ["sinkhorn_plan"]

ROUND = 16
"""Steps between two questions of the host: whether all stayed in range, and whether anything still moves."""


def sinkhorn_plan(
    cost: Any,
    *,
    epsilon: float,
    row_marginal: Any,
    column_marginal: Any,
    steps: int,
    tolerance: float | None,
    mask: Any,
) -> Any:
    """Return the plan after some steps."""
    a = None if row_marginal is None else row_marginal[..., :, None]
    b = None if column_marginal is None else column_marginal[..., None, :]
    pairs = pairs_of(cost, a, b, mask=mask)
    xp = pairs.xp
    open_rows = pairs.zeros(pairs.pair_leading, pairs.m, 1)
    open_columns = pairs.zeros(pairs.pair_leading, 1, pairs.n)

    def entry(tile: Tile, visible: Any) -> Any:
        scores = pairs.select(visible, -tile.of_pairs(cost) / epsilon, -math.inf)
        allowed = scores != -math.inf
        for places, axis in ((open_rows, -1), (open_columns, -2)):
            here = tile.of_pairs(places)
            here[...] = xp.maximum(here, allowed.any(axis=axis, keepdims=True).astype(here.dtype))
        for mass in (row_mass, column_mass):
            scores = scores if mass is None else xp.where(tile.of_pairs(mass) > 0, scores, -math.inf)
        return scores

    row_mass, column_mass = a, b
    logs = Logs(pairs, entry)
    if logs.entries.size == 0:
        return logs.entries
    a, b = _even(xp, open_rows, b) if a is None else a, _even(xp, open_columns, a) if b is None else b
    return _Steps(logs, a, b, tolerance).plan(steps, xp.zeros_like(open_columns))


def _even(xp: Any, open_: Any, other: Any) -> Any:
    """Spread the total of the other marginal over all that have an allowed pair."""
    total = 1 if other is None else other.sum(axis=(-2, -1), keepdims=True)
    count = open_.sum(axis=(-2, -1), keepdims=True)
    return open_ * (total / xp.maximum(count, 1))


class _Steps:
    """The steps of a call; a and u are (..., m, 1), b, v and g (..., 1, n), what is known of members (..., 1, 1)."""

    def __init__(self, logs: Logs, a: Any, b: Any, tolerance: float | None) -> None:
        self.xp, self.logs, self.a, self.b, self.tolerance = logs.xp, logs, a, b, tolerance
        self.log_a, self.log_b = self.xp.log(a), self.xp.log(b)
        self.reach = 2.0 ** (30 if np.dtype(a.dtype).itemsize == 4 else 200)

    def plan(self, steps: int, g: Any) -> Any:
        """Return the plan after so many steps from u = 1; g are zeros."""
        xp, moving = self.xp, self.xp.full_like(g[..., :1], 1) > 0
        g, moving, fit = self.in_logarithms(1, g, moving, first=True)
        kernel, v = self.kernel(g)
        u, taken = self.a, 1
        while taken < steps:
            count = min(ROUND, steps - taken)
            taken += count
            *scaled, in_range = self.on(kernel, count, u, v, moving, fit)
            if bool(in_range.all()):
                u, v, moving = scaled
            else:
                self.logs.fill()
                again, moving, fit_again = self.in_logarithms(count, g + xp.log(v), moving)
                # Whoever stayed in range gets the same kernel again.
                g, fit = xp.where(in_range, g, again), in_range | fit_again
                kernel, start = self.kernel(g)
                ends = zip(scaled, (self.a, start, moving), strict=True)
                u, v, moving = (xp.where(in_range, one, other) for one, other in ends)
            if self.tolerance is not None and not bool(moving.any()):
                break
        for band in self.logs.tiles.bands():
            for tile, _ in self.logs.tiles.along(band):
                here = tile.of_pairs(kernel)
                here[...] = here * tile.of_pairs(u) * tile.of_pairs(v)
        return kernel

    def kernel(self, g: Any) -> tuple[Any, Any]:
        """Put the kernel in place of the logarithms; return it, and the v of this g: 1, or 0 where no mass comes."""
        xp, closed, plain = self.xp, g == -math.inf, self.logs.moved(g)

        def score(tile: Tile) -> Any:
            return plain(tile) if self.logs.tame else xp.where(tile.of_pairs(closed), -math.inf, plain(tile))

        one = xp.full_like(g[..., :1], 1)
        return self.logs.shared_out(score, one), xp.where(closed, 0, one)

    def on(self, kernel: Any, count: int, u: Any, v: Any, moving: Any, fit: Any) -> tuple[Any, Any, Any, Any]:
        """Make steps with the kernel; return u, v, who still moves, and who was fit and stayed in range."""
        xp, closed_columns = self.xp, v == 0
        closed_rows = kernel @ transposed(v) == 0
        in_range = fit
        for _ in range(count):
            reached = transposed(u) @ kernel
            moving = self.still(moving, v * reached)
            v = xp.where(moving, xp.where(closed_columns, 0, self.b / reached), v)
            sums = kernel @ transposed(v)
            u = xp.where(closed_rows, 0, self.a / sums)
            for scaling, closed, axis in ((v, closed_columns, -1), (sums, closed_rows, -2)):
                good = closed | ((scaling >= 1 / self.reach) & (scaling <= self.reach))
                in_range = in_range & good.all(axis=axis, keepdims=True)
        return u, v, moving, in_range

    def in_logarithms(self, count: int, g: Any, moving: Any, first: bool = False) -> tuple[Any, Any, Any]:
        """Make steps with the logarithms; return g, who still moves, and who is fit for a kernel.

        A column whose sum is infinite takes nothing, but the logarithms of its next sums are NaN: no kernel says so.
        """
        xp, logs = self.xp, self.logs
        for step in range(count):
            if first and step == 0:
                reached = logs.of_columns(xp.zeros_like(g[..., :1]))
            else:
                reached = logs.of_columns(log_ratio(xp, self.log_a, logs.of_rows(g)))
                moving = self.still(moving, xp.exp(g + reached))
            g = xp.where(moving, log_ratio(xp, self.log_b, reached), g)
        return g, moving, (reached < math.inf).all(axis=-1, keepdims=True)

    def still(self, moving: Any, columns: Any) -> Any:
        """Return who moves on, given the sums of the columns after the last step."""
        if self.tolerance is None:
            return moving
        error = self.xp.abs(columns - self.b).max(axis=-1, keepdims=True)
        return moving & ~(error <= self.tolerance)  # a NaN never comes to rest
