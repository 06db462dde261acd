"""Networks of bits: a field is computed, its signs are the new bits.

All bits of a step at once are a few matrix products. One by one each bit is a product of its own: exact, but bound by
the time that a GPU takes to begin.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from attlas_ref.contract import FieldResult

from .. import tile as limits
from ..tile import Tiles, transposed

__all__ = ["classical_hopfield", "dense_associative_memory"]

Field = Callable[[Any, slice], Any]
"""Maps (state, bits) to the field of some bits, (..., m, bits)."""


def classical_hopfield(
    query: Any,
    key: Any,
    *,
    steps: int,
    zero_diagonal: bool,
    return_field: bool,
    update: str,
    order: Any,
) -> Any:
    """Return the bits after some updates by the signs of q K^T K, whose diagonal may be left out.

    The matrix between the bits is made some columns at a time: without it the diagonal would have to be subtracted
    from a sum that holds it, and a field of 0 would be lost to rounding.
    """
    xp, d = array_namespace(query), query.shape[-1]
    every = xp.arange(d)[:, None]

    def field_of(state: Any, bits: slice) -> Any:
        between = transposed(key) @ key[..., bits]  # (..., d, bits)
        if zero_diagonal:
            between = xp.where(every == xp.arange(bits.start, bits.stop), 0, between)
        return state @ between

    width = max(1, limits.MATRIX_ENTRIES // d)
    return _settled(_broadcast(query, key), field_of, width, steps, update, order, return_field)


def dense_associative_memory(
    query: Any,
    key: Any,
    *,
    energy: str,
    degree: int,
    rectified: bool,
    steps: int,
    update: str,
    order: Any,
    return_field: bool,
) -> Any:
    """Return the bits after some updates by the energies with a bit up and down, patterns streamed."""
    state = _broadcast(query, key)
    xp = array_namespace(query)
    if key.shape[-2] == 0:
        return FieldResult(state, xp.zeros_like(state)) if return_field else state

    def power(overlap: Any) -> Any:
        return (xp.maximum(overlap, 0) if rectified else overlap) ** degree

    def field_of(state: Any, bits: slice) -> Any:
        field = xp.zeros_like(state[..., bits])
        tiles = Tiles(state, key, mask=None, bias=None, causal=False)
        for band in tiles.bands():
            sigma = band.of_queries(state)[..., :, None, bits]  # (..., rows, 1, bits)
            folds = [_LogSum(xp) if energy == "exp" else _Sum(power) for _ in range(2)]
            for tile, _ in tiles.along(band):
                keys = tile.of_keys(key)
                overlap = (band.of_queries(state) @ transposed(keys))[..., None]  # (..., rows, columns, 1)
                x = keys[..., None, :, bits]
                folds[0].add(overlap + x * (1 - sigma))
                folds[1].add(overlap - x * (1 + sigma))
            band.of_queries(field)[...] = folds[0].total - folds[1].total
        return field

    # A tile of pairs is repeated for each of the bits at hand.
    width = max(1, limits.TILE_ENTRIES // max(1, math.prod(state.shape[:-1]) * key.shape[-2]))
    return _settled(state, field_of, width, steps, update, order, return_field)


class _Sum:
    """A running sum over patterns of a function of the overlap."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function, self.total = function, 0

    def add(self, overlap: Any) -> None:
        """Add (..., rows, columns, bits)."""
        self.total = self.total + self.function(overlap).sum(axis=-2)


class _LogSum:
    """A running logarithm of a sum of exponentials over patterns."""

    def __init__(self, xp: Any) -> None:
        self.xp, self.maximum, self.sum = xp, None, None

    def add(self, overlap: Any) -> None:
        """Add (..., rows, columns, bits)."""
        xp, maximum = self.xp, overlap.max(axis=-2)
        larger = maximum if self.maximum is None else xp.maximum(maximum, self.maximum)
        shift = xp.where(xp.isfinite(larger), larger, 0)
        fresh = xp.exp(overlap - shift[..., None, :]).sum(axis=-2)
        self.sum = fresh if self.maximum is None else self.sum * xp.exp(self.maximum - shift) + fresh
        self.maximum = larger

    @property
    def total(self) -> Any:
        """The logarithm."""
        xp = self.xp
        return xp.where(xp.isfinite(self.maximum), self.maximum + xp.log(self.sum), self.maximum)


def _broadcast(query: Any, key: Any) -> Any:
    """Return a copy of the queries with the leading axes of the result."""
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    return array_namespace(query).broadcast_to(query, (*leading, *query.shape[-2:])).copy()


def _settled(
    state: Any, field_of: Field, width: int, steps: int, update: str, order: Sequence[int] | None, return_field: bool
) -> Any:
    """Update the bits one by one, or together: their fields `width` at a time; without a step, find the field alone."""
    xp, d = array_namespace(state), state.shape[-1]

    def whole_field() -> Any:
        blocks = [slice(start, min(start + width, d)) for start in range(0, d, width)]
        return xp.concatenate([field_of(state, block) for block in blocks], axis=-1)

    def signed(field: Any, old: Any) -> Any:
        return xp.where(field == 0, old, xp.sign(field))

    field = whole_field() if steps == 0 else xp.zeros_like(state)
    for _ in range(steps):
        if update == "sync":
            field = whole_field()
            state = signed(field, state)
            continue
        for place in range(d) if order is None else order:
            bit = slice(int(place), int(place) + 1)
            field[..., bit] = field_of(state, bit)
            state[..., bit] = signed(field[..., bit], state[..., bit])
    return FieldResult(state, field) if return_field else state
