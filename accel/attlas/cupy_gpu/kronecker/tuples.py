"""The tile template for tuples of keys: queries beside blocks of tuples.

A block of tuples is a product of one slice per set of keys. Its rows are products of the members' rows, made on the
way, so that scores and sums are matrix products as for single keys, and nothing is larger than a tile. Tuples that no
query of a band may see are left out.

Bound by memory traffic, as all tiles are: making the rows of a block costs one pass, scores and sums a product each.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from .. import tile as limits
from ..tile import Tile, Tiles, summed_to, transposed
from .combine import Combination


class TupleTile(NamedTuple):
    """Where a block of tuples stands: its slices of the leading axes, of the queries and of each set of keys."""

    leading: tuple[slice, ...]
    rows: slice
    members: tuple[slice, ...]

    def of_queries(self, array: Any) -> Any:
        """Return the view (..., rows, *) of an array that has a row per query."""
        return Tile(self.leading, self.rows).of_queries(array)

    def of_member(self, array: Any, r: int) -> Any:
        """Return the view (..., members[r], *) of an array that has a row per key of set r."""
        return Tile(self.leading, self.rows, self.members[r]).of_keys(array)

    def of_tuples(self, array: Any) -> Any:
        """Return the view of an array that broadcasts to (..., m, n_1, ..., n_p); what is broadcast stays so."""
        padded = array[(None,) * (1 + len(self.members) - array.ndim)]
        return Tile(self.leading, self.rows).view(padded, self.rows, *self.members)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many members of each set."""
        return tuple(member.stop - member.start for member in self.members)

    def as_cube(self, pairs: Any) -> Any:
        """View (..., rows, tuples) as (..., rows, *sizes)."""
        return pairs.reshape(*pairs.shape[:-1], *self.sizes)

    def in_line(self, cube: Any) -> Any:
        """View (..., *sizes) as (..., tuples)."""
        return cube.reshape(*cube.shape[: -len(self.members)], math.prod(self.sizes))


class Tuples(Tiles):
    """All queries beside all tuples of keys, in bands and tiles, and which of them are visible."""

    def __init__(
        self,
        query: Any,
        keys: Sequence[Any],
        values: Sequence[Any],
        *others: Any,
        mask: Any = None,
        causal: bool = False,
        windows: tuple[int, ...] | None = None,
    ) -> None:
        """Plan the tiles; `mask` is anything that broadcasts to (..., m, n_1, ..., n_p)."""
        self.xp = array_namespace(query)
        self.dtype, self.m = query.dtype, query.shape[-2]
        self.counts = tuple(key.shape[-2] for key in keys)
        self.mask, self.together = mask, 0
        masked = () if mask is None else mask.shape[: -1 - len(keys)]
        self.pair_leading = np.broadcast_shapes(masked, *(array.shape[:-2] for array in (query, *keys)))
        self.leading = np.broadcast_shapes(self.pair_leading, *(array.shape[:-2] for array in (*values, *others)))
        # A band of queries that is wider than the windows would make most of a tile invisible.
        most = self.m if windows is None else max(32, *windows)
        self.rows = max(1, min(self.m, limits.ROWS, most))
        # The rows of the tuples are as many and as wide as the tile itself, or less so.
        widest = max(self.rows, query.shape[-1], *(value.shape[-1] for value in values), 1)
        self.n = math.prod(self.counts)
        self.columns = max(1, min(self.n, limits.MATRIX_ENTRIES // widest))
        self.entries = widest * self.columns
        self.causal = causal or windows is not None
        self.offset = 0 if self.causal else None
        self.offsets = tuple(n - self.m for n in self.counts)
        # More than all positions says nothing new and may not fit an integer.
        self.windows = tuple(
            self.m + n if windows is None else min(windows[r], self.m + n) for r, n in enumerate(self.counts)
        )

    def reach(self, rows: slice) -> list[range]:
        """Return, for each set, the keys that one of these queries may see."""
        if not self.causal:
            return [range(n) for n in self.counts]
        return [
            range(max(0, rows.start + offset - window + 1), min(n, rows.stop + offset))
            for n, offset, window in zip(self.counts, self.offsets, self.windows, strict=True)
        ]

    def along(self, band: Tile) -> Iterator[tuple[Any, Any]]:
        """Walk over the tuples of a band: each tile with what is visible in it, None if everything is."""
        spans, room, axes = self.reach(band.rows), self.columns, list[list[slice]]()
        for span in reversed(spans):
            step = max(1, min(len(span), room))
            room = max(1, room // step)
            axes.insert(0, [slice(j, min(j + step, span.stop)) for j in span[::step]])
        for members in product(*axes):
            tile = TupleTile(band.leading, band.rows, members)
            yield tile, self._visible_tuples(tile)

    def _visible_tuples(self, tile: TupleTile) -> Any:
        xp, rows = self.xp, tile.rows
        visible = None if self.mask is None else tile.of_tuples(self.mask)
        i = xp.arange(rows.start, rows.stop)[:, None]
        for r, (member, offset, window) in enumerate(zip(tile.members, self.offsets, self.windows, strict=True)):
            past, recent = member.stop - 1 <= rows.start + offset, member.start > rows.stop - 1 + offset - window
            if not self.causal or (past and recent):
                continue
            j = xp.arange(member.start, member.stop)
            seen = (j <= i + offset) & (j > i + offset - window)
            seen = seen.reshape(-1, *(size if s == r else 1 for s, size in enumerate(tile.sizes)))
            visible = seen if visible is None else visible & seen
        if visible is None:
            return None
        leading = visible.shape[: -1 - len(tile.members)]
        return tile.in_line(xp.broadcast_to(visible, (*leading, rows.stop - rows.start, *tile.sizes)))


class TupleRows:
    """The rows of tuples, made block by block from those of their members."""

    def __init__(self, tuples: Tuples, arrays: Sequence[Any], combination: Combination) -> None:
        self.tuples, self.arrays, self.combination = tuples, tuple(arrays), combination

    @cached_property
    def strange(self) -> bool:
        """Whether a sum over visible tuples might meet a NaN or infinity of a hidden one."""
        hides = self.tuples.mask is not None or self.tuples.causal
        return hides and not _stays_finite(self.tuples.xp, self.arrays)

    def parts(self, tile: TupleTile) -> list[Any]:
        """Return the members' rows, each on an axis of its own: (..., 1, ..., members[r], ..., 1, width)."""
        p = len(self.arrays)
        views = [tile.of_member(array, r) for r, array in enumerate(self.arrays)]
        return [
            view.reshape(*view.shape[:-2], *(view.shape[-2] if s == r else 1 for s in range(p)), view.shape[-1])
            for r, view in enumerate(views)
        ]

    def of(self, tile: TupleTile) -> Any:
        """Return the rows of a tile's tuples, (..., tuples, width)."""
        cube = self.combination.rows(self.parts(tile))
        return cube.reshape(*cube.shape[: -1 - len(tile.members)], math.prod(tile.sizes), cube.shape[-1])

    def weighted_sum(self, weights: Any, tile: TupleTile, visible: Any) -> Any:
        """Return weights @ rows, blind to rows that nobody sees."""
        rows, strange = self.of(tile), None
        if self.strange and visible is not None:
            found = (~self.tuples.xp.isfinite(rows)).any(axis=(*range(rows.ndim - 2), rows.ndim - 1))
            strange = np.asarray(found.get() if hasattr(found, "get") else found)
        return self.tuples.weighted_sum(weights, rows, visible, strange)

    def add_gradients(self, grads: Sequence[Any], grad_rows: Any, tile: TupleTile, visible: Any) -> None:
        """Add to the gradients of the arrays what the gradient (..., tuples, width) of a tile's rows gives."""
        xp, p, parts = self.tuples.xp, len(self.arrays), self.parts(tile)
        cube = grad_rows.reshape(*grad_rows.shape[:-2], *tile.sizes, grad_rows.shape[-1])
        used = None
        if visible is not None:  # a tuple that nobody sees sends exactly 0, whatever stands in its members
            used = visible.any(axis=-2)
            used = used.reshape(*used.shape[:-1], *tile.sizes, 1)
        for r, grad in enumerate(grads):
            terms = self.combination.slope(cube, parts, r)
            terms = terms if used is None else xp.where(used, terms, 0)
            step = terms.sum(axis=tuple(axis - 1 - p for axis in range(p) if axis != r))
            whole = tile.of_member(grad, r)
            whole += summed_to(step, whole.shape)


def member_scores(query: Any, arrays: Sequence[Any], tile: TupleTile, among: bool) -> Any:
    """Return the sum of the dot products of a query with the members of a tuple, and of two members with each other."""
    xp, p = array_namespace(query), len(arrays)
    views = [tile.of_member(array, r) for r, array in enumerate(arrays)]
    cube: Any = 0
    for r, view in enumerate(views):
        scores = tile.of_queries(query) @ transposed(view)  # (..., rows, members[r])
        cube = cube + scores.reshape(*scores.shape[:-1], *(scores.shape[-1] if s == r else 1 for s in range(p)))
    if among:
        cube = cube + (views[0] @ transposed(views[1]))[..., None, :, :]
    rows = cube.shape[-1 - p]
    return tile.in_line(xp.broadcast_to(cube, (*cube.shape[: -1 - p], rows, *tile.sizes)))


def _stays_finite(xp: Any, arrays: Sequence[Any]) -> bool:
    """Whether no product of rows can be a NaN or infinity; the host waits for one value."""
    if any(array.size == 0 for array in arrays):
        return True
    bound: Any = 2  # a cross product has two terms
    for array in arrays:
        bound = bound * xp.maximum(array.max(), -array.min())
    return bool(xp.isfinite(bound))
