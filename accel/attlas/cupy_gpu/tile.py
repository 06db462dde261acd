"""The tile template: all pairs of queries and keys, a block at a time.

Bound by memory traffic: the products of a tile go to cuBLAS, but each elementwise step reads and writes the tile once.
Work is split into *bands* (some heads, some queries), and each band walks over its keys tile by tile. A formulation
gives a score or a weight, a function of a tile; the templates in `streams` keep the running sums.

The functions used exist under the same name in NumPy and CuPy, and the arrays themselves say which of the two it is.
No value of the device decides what Python does, except once per call and factor (see `Tiles.strange`). Results differ
from the formula by rounding only. Where a tile ends depends on m and n, never on the batch.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

ROWS = 1024
"""Queries in a tile, at most."""
MATRIX_ENTRIES = 1 << 20
"""Pairs of one head in a tile, at most: with fewer queries it takes more keys."""
TILE_ENTRIES = 1 << 23
"""Pairs of all heads in a tile, at most: 32 MiB in float32, and about four arrays of that size are alive at once."""

ALL = slice(None)


Strange = NDArray[np.bool_] | None
"""On the host, for each row of a factor: whether it holds a NaN or infinity; None if no row does, or none is hidden."""


class Tile(NamedTuple):
    """Where a block of pairs stands: its slices of the leading axes, of the queries and of the keys."""

    leading: tuple[slice, ...]
    rows: slice
    columns: slice = ALL

    def of_queries(self, array: Any) -> Any:
        """Return the view (..., rows, *) of an array that has a row per query."""
        return self.view(array, self.rows, ALL)

    def of_keys(self, array: Any) -> Any:
        """Return the view (..., columns, *) of an array that has a row per key."""
        return self.view(array, self.columns, ALL)

    def of_pairs(self, array: Any) -> Any:
        """Return the view of an array that broadcasts to (..., m, n); what is broadcast stays so."""
        return self.view(array[(None,) * (2 - array.ndim)], self.rows, self.columns)

    def of_pair_rows(self, array: Any) -> Any:
        """Return the view (..., rows, columns, *) of an array that has a row per pair."""
        return self.view(array, self.rows, self.columns, ALL)

    def of_heads(self, array: Any) -> Any:
        """Return the view of an array (..., *, *) that has neither queries nor keys."""
        return self.view(array, ALL, ALL)

    def view(self, array: Any, *core: slice) -> Any:
        """Return the view of an array whose last axes are cut by `core`, and the leading ones by this tile."""
        axes = (*self.leading, *core)[-array.ndim :]
        return array[tuple(ALL if size == 1 else axis for size, axis in zip(array.shape, axes, strict=True))]


Score = Callable[[Any], Any]
"""Maps a tile, a `Tile` or another template's, to its scores (or weights), (..., rows, columns)."""


class Tiles:
    """All pairs of a call, in bands and tiles, and which of them are visible."""

    def __init__(
        self,
        query: Any,
        key: Any,
        *others: Any,
        mask: Any,
        bias: Any,
        causal: bool,
        offset: int | None = None,
        rows: int | None = None,
        columns: int | None = None,
        whole_rows: bool = False,
        together: int = 0,
        scored: Sequence[Any] = (),
    ) -> None:
        """Plan the tiles.

        Parameters
        ----------
        query, key, *others : arrays
            All that have leading axes; a tile spans the leading axes of all of them together.
        mask, bias : arrays or None
            Anything that broadcasts to (..., m, n).
        causal : bool
            Hide key j from query i unless j <= i + offset.
        offset : int, optional
            n - m if not given.
        rows, columns : int, optional
            The most queries and keys that a tile may hold, beside the limits of this module.
        whole_rows : bool
            Every tile holds all keys, and as many queries as the limits then allow.
        together : int
            How many of the last leading axes no band splits.
        scored : arrays
            Of two or more axes, which have a say in the scores: their leading axes are those of the pairs too.
        """
        self.xp = array_namespace(query)
        self.dtype = query.dtype
        self.m, self.n = query.shape[-2], key.shape[-2]
        self.mask, self.together = mask, together
        optional = [array.shape[:-2] for array in (mask, bias, *scored) if array is not None]
        self.pair_leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], *optional)
        self.leading = np.broadcast_shapes(self.pair_leading, *(array.shape[:-2] for array in others))
        self.rows = max(1, min(self.m, rows or ROWS, ROWS))
        self.columns = max(1, min(self.n, columns or self.n, MATRIX_ENTRIES // self.rows))
        if whole_rows:
            self.columns = max(1, self.n)
            self.rows = max(1, min(self.rows, MATRIX_ENTRIES // self.columns))
        self.entries = self.rows * self.columns
        offset = self.n - self.m if offset is None else offset
        # From n - 1 on everything is visible.
        self.offset = offset if causal and offset < self.n - 1 else None

    def zeros(self, leading: Sequence[int], *core: int) -> Any:
        """Return zeros of the compute dtype."""
        return self.xp.zeros((*leading, *core), dtype=self.dtype)

    def row_zeros(self, band: Tile) -> Any:
        """Return zeros (..., rows, 1) for a statistic of each row of a band."""
        spans = band.leading[len(band.leading) - len(self.pair_leading) :]
        leading = [1 if size == 1 else _length(span) for size, span in zip(self.pair_leading, spans, strict=True)]
        return self.zeros(leading, _length(band.rows), 1)

    def bands(self) -> Iterator[Tile]:
        """Walk over heads and queries."""
        budget = max(1, TILE_ENTRIES // self.entries)
        axes: list[list[slice]] = []
        for axis, size in enumerate(reversed(self.leading)):
            step = max(1, size if axis < self.together else min(size, budget))
            budget = max(1, budget // step)
            axes.insert(0, _slices(size, step) or [slice(0, 0)])  # pairs may exist where a value has no heads
        for *leading, rows in product(*axes, _slices(self.m, self.rows)):
            yield Tile(tuple(leading), rows)

    def along(self, band: Tile) -> Iterator[tuple[Tile, Any]]:
        """Walk over the keys of a band: each tile with what is visible in it, None if everything is.

        Tiles that lie wholly in the future are left out.
        """
        end = self.n if self.offset is None else min(self.n, band.rows.stop + self.offset)
        for columns in _slices(end, self.columns):
            tile = Tile(band.leading, band.rows, columns)
            yield tile, self._visible(tile)

    def _visible(self, tile: Tile) -> Any:
        visible = None if self.mask is None else tile.of_pairs(self.mask)
        if self.offset is None or tile.columns.stop - 1 <= tile.rows.start + self.offset:
            return visible
        i = self.xp.arange(tile.rows.start, tile.rows.stop)[:, None]
        past = self.xp.arange(tile.columns.start, tile.columns.stop) <= i + self.offset
        return past if visible is None else past & visible

    def select(self, visible: Any, tile: Any, otherwise: float) -> Any:
        """Return a tile with its hidden pairs replaced."""
        return tile if visible is None else self.xp.where(visible, tile, otherwise)

    def strange(self, factor: Any, selects: bool = False) -> Strange:
        """Find the rows of a factor that hold a NaN or infinity, where a sum over visible pairs must not meet them.

        A matrix product gives a hidden pair the weight 0, but 0 times NaN is NaN. Where anything is hidden, the factor
        is searched once per call, and this is the only value that the host waits for. (A sum that is not finite has a
        term that is not, or overflows; then the rows are looked at one by one.) With `selects`, a formulation hides
        pairs of its own.
        """
        if factor.size == 0 or (not selects and self.mask is None and self.offset is None):
            return None
        if bool(self.xp.isfinite(factor.sum())):
            return None
        axes = (*range(factor.ndim - 2), factor.ndim - 1)
        rows = (~self.xp.isfinite(factor)).any(axis=axes)
        return np.asarray(rows.get() if hasattr(rows, "get") else rows)

    def weighted_sum(self, weights: Any, factor: Any, visible: Any, strange: Strange) -> Any:
        """Return weights @ factor, blind to what stands in strange rows that nobody sees; hidden weights are 0."""
        if visible is None or strange is None or not strange.any():
            return weights @ factor
        xp, width = self.xp, factor.shape[-1]
        tame = xp.isfinite(factor).all(axis=-1)  # (..., n): another head's row does not change this one's sum
        result = xp.where(tame[..., None, :], weights, 0) @ xp.where(tame[..., None], factor, 0)
        visible = xp.broadcast_to(visible, weights.shape)
        rows = np.flatnonzero(strange)
        # A few rows at a time, such that the products of all pairs and channels are no larger than the tile.
        step = max(1, weights.shape[-1] // max(1, width))
        for few in _slices(len(rows), step):
            j = xp.asarray(rows[few])
            products = weights[..., j, None] * factor[..., None, j, :]  # (..., rows, few, width)
            felt = visible[..., j, None] & ~tame[..., None, j, None]
            result = xp.where(felt.any(axis=-2), result + xp.where(felt, products, 0).sum(axis=-2), result)
        return result


def _length(span: slice) -> int:
    return span.stop - span.start


def _slices(size: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]


def dot_scores(query: Any, key: Any, scale: float | None, bias: Any, temperature: float = 1.0) -> Score:
    """Make the score (scale <q_i, k_j> + bias_ij) / temperature."""
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale

    def score(tile: Tile) -> Any:
        scores = tile.of_queries(query) @ transposed(tile.of_keys(key))
        scores *= factor
        scores = plus_bias(scores, tile, bias)
        return scores if temperature == 1 else scores / temperature

    return score


def plus_bias(scores: Any, tile: Tile, bias: Any) -> Any:
    """Add a bias in the precision of the scores; it is converted tile by tile."""
    return scores if bias is None else scores + tile.of_pairs(bias).astype(scores.dtype, copy=False)


def transposed(matrices: Any) -> Any:
    """Return the view with the last two axes exchanged."""
    return matrices.swapaxes(-1, -2)


def logistic(xp: Any, x: Any) -> Any:
    """Return 1 / (1 + exp(-x)), which overflows on neither side and keeps its digits on both."""
    return xp.exp(xp.minimum(x, 0)) / (1 + xp.exp(-xp.abs(x)))


def summed_to(gradient: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient over the axes along which its argument was broadcast; members that it is the same for it lacks."""
    gradient = gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))
    own = shape[len(shape) - gradient.ndim :]
    axes = tuple(axis for axis, size in enumerate(own) if size != gradient.shape[axis])
    return gradient.sum(axis=axes, keepdims=True)


def part(strange: Strange, span: slice) -> Strange:
    """Return what is strange among the rows of a tile."""
    return None if strange is None else strange[span]
