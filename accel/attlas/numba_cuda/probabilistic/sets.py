"""Softmax attention to several sets of keys at once.

A query of Combiner meets some keys one by one and others in groups, and the two are laid out differently: the tokens
of a row together, or those of a column. Every set is one pass of the tile, whose (maximum, total, sums) are then
merged. Tokens are a grid (..., rows, columns, width).

Bound by operations in the passes; rows much shorter than a tile leave parts of it empty. Merging is bound by bytes, it
reads and writes the sums of a set once. Results differ from the reference by rounding only.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..assemble import Assembly, product
from ..dense import Attention
from ..operands import dtype_of, lay_out, leading_axes, operand, shape_of
from ..pieces import COLUMN_STEP, FIRST_MEMBER, ROW_STEP, larger
from ..prefix import build_rescaled
from ..rules import Real, softmax
from ..target import allocate, cuda, kernel, shaped
from ..views import as_column, viewed
from .entries import over_entries

SUMS, MAXIMUM, TOTAL, OTHER_SUMS, OTHER_MAXIMUM, OTHER_TOTAL = range(6)
"""The rows of the table of operands."""

Partial = tuple[Any, Any, Any]
"""Sums (..., rows, columns, e), maximum and total (..., rows, columns, 1)."""


def grid(x: Any, columns: int) -> Any:
    """View tokens (..., n, width) as (..., rows, columns, width)."""

    def indexed(a: Any) -> Any:
        (*leading, n, width), (*steps, row, column) = a.shape, a.strides
        shape, strides = (*leading, n // columns, columns, width), (*steps, columns * row, row, column)
        return np.lib.stride_tricks.as_strided(a, shape, strides, writeable=False)

    return viewed(x, indexed)


def crossed(x: Any) -> Any:
    """View (..., rows, columns, width) as (..., columns, rows, width)."""
    return viewed(x, lambda a: a.swapaxes(-3, -2))


def spread(x: Any, batch: tuple[int, ...]) -> Any:
    """View (..., n, width) with the leading axes of a batch."""
    return viewed(x, lambda a: np.broadcast_to(a, (*batch, *a.shape[-2:])))


def flattened(x: Any) -> Any:
    """Return a result as one axis, where kernels read it."""
    memory, _ = operand(x, shape_of(x)[:-2])
    return memory


@functools.cache
def build_meet(real: Real) -> Any:
    """Build the kernel that merges two partials; it divides the sums by the total if it `divides`."""
    rescaled = build_rescaled(real)
    zero, one = real(0), real(1)

    def meet(
        first, block_count, size, columns, e, divides, before_sums, before_maximum, before_total,
        state_sums, state_maximum, state_total, layout, after_sums, after_maximum, after_total,
    ):  # fmt: skip
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        place = index * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if place >= size:
            return
        width = max(1, e)
        channel = place % width
        token = place // width
        line = FIRST_MEMBER + token // columns
        c = token % columns
        most = before_maximum[layout[MAXIMUM, line] + c * layout[MAXIMUM, ROW_STEP]]
        other = state_maximum[layout[OTHER_MAXIMUM, line] + c * layout[OTHER_MAXIMUM, ROW_STEP]]
        best = larger(most, other)
        own_part = rescaled(most, best)
        other_part = rescaled(other, best)
        total = own_part * before_total[layout[TOTAL, line] + c * layout[TOTAL, ROW_STEP]]
        total += other_part * state_total[layout[OTHER_TOTAL, line] + c * layout[OTHER_TOTAL, ROW_STEP]]
        if channel == 0:
            after_maximum[token] = best
            after_total[token] = total
        if channel < e:
            own_at = layout[SUMS, line] + c * layout[SUMS, ROW_STEP] + channel * layout[SUMS, COLUMN_STEP]
            other_at = layout[OTHER_SUMS, line] + c * layout[OTHER_SUMS, ROW_STEP]
            other_at += channel * layout[OTHER_SUMS, COLUMN_STEP]
            result = own_part * before_sums[own_at] + other_part * state_sums[other_at]
            if divides:
                result /= total if total != zero else one
            after_sums[token * e + channel] = result

    return kernel(meet)


@dataclass
class KeySet:
    """One set of keys for every row of the grid, or for every column (`turned`).

    All three are grids: queries (..., rows, columns, d), keys and values (..., rows or 1, keys, width), or the like of
    columns, (..., columns, rows, d) and so on.
    """

    query: Any
    key: Any
    value: Any
    scale: float | None
    turned: bool = False
    mask: Any = None
    diagonal: int | None = None

    def attention(self, with_value: bool) -> Attention:
        """Return the set's pass; without values it has the leading axes of the scores."""
        value = self.value if with_value else None
        return Attention(
            softmax, self.query, self.key, value, mask=self.mask, bias=None, scale=self.scale, diagonal=self.diagonal
        )

    def partial(self, attention: Attention) -> Partial:
        """Run the pass; return what it found, in the order of the grid."""
        sums = attention.output(normalized=False)
        found = [as_column(shaped(part, attention.rows)) for part in (attention.maximum, attention.total)]
        sums, maximum, total = (crossed(part) if self.turned else part for part in (sums, *found))
        return sums, maximum, total

    def weights(self, attention: Attention, maximum: Any, total: Any) -> Any:
        """Return the weights of the set's keys, in its own order, given the statistics of all sets."""
        *batch, own, other = attention.rows
        parts = (crossed(part) if self.turned else part for part in (maximum, total))
        attention.maximum, attention.total = (
            Assembly((*batch, own), other, 1, dtype_of(part)).put(product, part).memory for part in parts
        )
        return attention.weights()


def _met(one: Partial, other: Partial, divides: bool) -> Partial:
    """Merge two partials; with `divides` the sums are the output of tokens, (..., n, e)."""
    batch, dtype = leading_axes(*one, *other), dtype_of(one[0])
    columns, e = shape_of(one[0])[-2:]
    shapes: tuple[tuple[int, ...], ...] = (*batch, columns, e), (*batch, columns, 1), (*batch, columns, 1)
    results = [allocate(shape, dtype) for shape in shapes]
    memories, layout = lay_out([*one, *other], batch)
    size = math.prod(shapes[1]) * max(1, e)
    real: Any = dtype.type
    over_entries(build_meet(real), dtype, size, columns, e, int(divides), *memories, layout, *results)
    if divides:
        shapes = (*batch[:-1], batch[-1] * columns, e), *shapes[1:]
    sums, maximum, total = (shaped(result, shape) for result, shape in zip(results, shapes, strict=True))
    return sums, maximum, total


def _merged(partials: Sequence[Partial]) -> Partial:
    """Merge at least two partials, and divide."""
    found = partials[0]
    for place, partial in enumerate(partials[1:], start=2):
        found = _met(found, partial, divides=place == len(partials))
    return found


def attended(sets: Sequence[KeySet]) -> Any:
    """Return the output of every token, (..., n, e)."""
    sums, _, _ = _merged([one.partial(one.attention(with_value=True)) for one in sets])
    return sums


def weighted(sets: Sequence[KeySet]) -> list[Any]:
    """Return the weights of every set: (..., rows, columns, keys), or in the set's own order if turned."""
    passes = [one.attention(with_value=False) for one in sets]
    _, maximum, total = _merged([one.partial(own) for one, own in zip(sets, passes, strict=True)])
    return [one.weights(own, maximum, total) for one, own in zip(sets, passes, strict=True)]
