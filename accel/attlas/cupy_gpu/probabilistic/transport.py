"""What transport plans share: the logarithms of a kernel, which stand where the plan will stand, and their sums.

Potentials are f (..., m, 1) and g (..., 1, n), which broadcast against the pairs as they are. A sum of exponentials
along rows or columns is one pass over the tiles, with a running maximum and total.
Beside the cost and the plan nothing is larger than a tile, or than a row and a column per member.
"""

import math
from collections.abc import Callable
from typing import Any

from ..streams import softmax_partial, softmax_weights
from ..tile import Tile, Tiles, transposed

Entry = Callable[[Tile, Any], Any]
"""Maps (tile, visible) to logarithms of the kernel, -inf where nothing may flow."""


def pairs_of(cost: Any, *others: Any, mask: Any = None) -> Tiles:
    """Return the tiles of a matrix of costs (..., m, n); `others` bring leading axes, None brings none."""
    rows, columns = cost[..., :0], transposed(cost)[..., :0]
    given = [other for other in others if other is not None]
    return Tiles(rows, columns, mask=mask, bias=None, causal=False, scored=given)


class Logs:
    """The logarithms of a kernel, -inf where nothing may flow."""

    def __init__(self, pairs: Tiles, entry: Entry) -> None:
        """Fill them in, and let the host wait to know whether there is a NaN or infinity to beware of."""
        self.xp, self.pairs, self.entry = pairs.xp, pairs, entry
        self.entries = pairs.zeros(pairs.pair_leading, pairs.m, pairs.n)
        self.tiles = pairs_of(self.entries)
        self.tame = bool(self.xp.isfinite(self.fill()))

    def fill(self) -> Any:
        """Put the logarithms in place, and return the sum of those that are not -inf."""
        total: Any = self.pairs.zeros(())
        for band in self.pairs.bands():
            for tile, visible in self.pairs.along(band):
                logs = self.entry(tile, visible)
                total = total + self.xp.where(logs == -math.inf, 0, logs).sum()
                tile.of_pairs(self.entries)[...] = logs
        return total

    def moved(self, *potentials: Any) -> Callable[[Tile], Any]:
        """Make the logarithms with potentials added; -inf stays, whatever they are."""

        def logs(tile: Tile) -> Any:
            here = tile.of_pairs(self.entries)
            result = here
            for potential in potentials:
                result = result + tile.of_pairs(potential)
            return result if self.tame else self.xp.where(here == -math.inf, -math.inf, result)

        return logs

    def of_rows(self, g: Any) -> Any:
        """Return log Σ_j exp(entry + g), (..., m, 1)."""
        tiles, logs = self.tiles, self.moved(g)
        sums = tiles.zeros(tiles.leading, tiles.m, 1)
        for band in tiles.bands():
            total = tiles.row_zeros(band)
            maximum = total - math.inf
            for tile, _ in tiles.along(band):
                maximum, total = self._absorbed(maximum, total, logs(tile), -1)
            band.of_queries(sums)[...] = self._log(maximum, total)
        return sums

    def of_columns(self, f: Any) -> Any:
        """Return log Σ_i exp(entry + f), (..., 1, n)."""
        tiles, logs = self.tiles, self.moved(f)
        totals = tiles.zeros(tiles.leading, 1, tiles.n)
        maxima = totals - math.inf
        for band in tiles.bands():
            for tile, _ in tiles.along(band):
                maximum, total = tile.of_pairs(maxima), tile.of_pairs(totals)
                maximum[...], total[...] = self._absorbed(maximum, total, logs(tile), -2)
        return self._log(maxima, totals)

    def shared_out(self, score: Callable[[Tile], Any], masses: Any) -> Any:
        """Put the plan in place of the logarithms: to every row the softmax of its scores, times its mass."""
        tiles, xp = self.tiles, self.xp
        for band in tiles.bands():
            maximum, total, _ = softmax_partial(tiles, band, score)
            final = softmax_weights(tiles, score, maximum, total)
            for tile, _ in tiles.along(band):
                plan = tile.of_pairs(masses) * final(tile)
                # In a row with a NaN what is impossible stays 0.
                tile.of_pairs(self.entries)[...] = plan if self.tame else xp.where(score(tile) == -math.inf, 0, plan)
        return self.entries

    def _absorbed(self, maximum: Any, total: Any, logs: Any, axis: int) -> tuple[Any, Any]:
        xp = self.xp
        larger = xp.maximum(maximum, logs.max(axis=axis, keepdims=True))
        shift = self._shift(larger)
        rest = xp.exp(logs - shift).sum(axis=axis, keepdims=True)
        return larger, total * xp.exp(maximum - shift) + rest

    def _log(self, maximum: Any, total: Any) -> Any:
        return self.xp.log(total) + self._shift(maximum)

    def _shift(self, maximum: Any) -> Any:
        """Return the maximum, 0 where it is infinite: an infinite sum has an infinite logarithm, not a NaN."""
        return self.xp.where(self.xp.isfinite(maximum), maximum, 0)


def log_ratio(xp: Any, log_mass: Any, log_total: Any) -> Any:
    """Return the logarithm of a mass divided by a total: nothing where the total is nothing."""
    nothing = log_total == -math.inf
    return xp.where(nothing, -math.inf, log_mass - xp.where(nothing, 0, log_total))
