"""Recursions along a row of keys by a block of threads: chains of affine maps c -> f c + a.

Each thread has a stretch of neighboring keys. It composes their maps, the threads compose theirs in log2 rounds over
shared memory, and then each walks through its stretch from what arrives there. The order of everything is fixed: the
same call gives the same bits.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..operands import dtype_of, lay_out, leading_axes, shape_of
from ..pieces import entry
from ..rows import RowBlock
from ..rules import Real
from ..target import cuda, device, device_using_cuda
from ..views import as_row

VISIBLE, CHANCE, START, OTHER = range(4)
"""The rows of the table of operands: the mask, p, where a pointer is before the first row, and one more."""


@device
def stretch(n, threads, t):
    """The keys of a thread: the first, and the one behind the last."""
    length = (n + threads - 1) // threads
    return min(n, t * length), min(n, (t + 1) * length)


@device
def seen(mask, layout, batch, i, j):
    """Whether row i sees key j."""
    return entry(mask, layout, VISIBLE, batch, i, j)


@functools.cache
def build_shown(real: Real) -> Callable[..., Any]:
    """Build shown(...): an entry of an operand, `otherwise` where it is hidden."""

    @device
    def shown(memory, mask, layout, operand, batch, i, j, otherwise):
        return entry(memory, layout, operand, batch, i, j) if seen(mask, layout, batch, i, j) else otherwise

    return shown


@functools.cache
def build_arriving(block: RowBlock, real: Real) -> Callable[..., Any]:
    """Build arriving(factors, offsets, factor, offset, t): what the maps before the t-th make of 0.

    `factors` and `offsets` are (2, threads) in shared memory. All threads must come.
    """
    count = block.count
    zero = real(0)

    @device_using_cuda
    def arriving(factors, offsets, factor, offset, t):
        factors[0, t] = factor
        offsets[0, t] = offset
        cuda.syncthreads()
        now = 0
        reach = 1
        while reach < count:
            if t >= reach:
                offset = factors[now, t] * offsets[now, t - reach] + offsets[now, t]
                factor = factors[now, t] * factors[now, t - reach]
            now = 1 - now
            factors[now, t] = factor
            offsets[now, t] = offset
            cuda.syncthreads()
            reach *= 2
        result = offsets[now, t - 1] if t > 0 else zero
        cuda.syncthreads()  # until all have read
        return result

    return arriving


class Pairs:
    """A call of rows of pairs, laid out: memories in the order of the operands above."""

    def __init__(self, mask: Any, chance: Any, previous: Any, other: Any = None) -> None:
        self.m, self.n = shape_of(chance)[-2:]
        self.dtype = dtype_of(chance)
        self.real: Any = self.dtype.type
        first = np.eye(1, self.n, dtype=self.dtype) if previous is None else as_row(previous)
        visible = np.ones((1, 1), bool) if mask is None else mask
        given = [visible, chance, first] if other is None else [visible, chance, first, other]
        self.batch = leading_axes(*given)
        self.members = int(np.prod(self.batch, dtype=np.int64))
        self.memories, self.layout = lay_out(given, self.batch)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all pairs."""
        return (*self.batch, self.m, self.n)
