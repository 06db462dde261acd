"""What the kernels of a chain share: the layout of a call, and one step of the forward recursion.

A step reads one table of transitions, (c, c), row by row; labels to come stand side by side in vectors.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ...layout import broadcast
from ..compile import part
from ..operands import Array, Laid, address_of, lay
from ..pointers import moved
from ..real import Real
from .sums import sums_of

EXPONENTIAL = 16
"""What an exponential costs, in multiply-adds."""


class Chain(NamedTuple):
    """One call, laid out."""

    batch: tuple[int, ...]
    n: int
    c: int
    unary: Laid
    pairwise: Laid
    """The table of the first step."""
    step: int
    """From there to the next one; 0 where all steps share it."""
    lengths: Array
    """(members,) integers."""

    @property
    def members(self) -> int:
        """How many chains there are."""
        return self.lengths.size

    @property
    def numbers(self) -> tuple[int, ...]:
        """What every kernel needs to know: the address of the lengths, n, c and the step."""
        return address_of(self.lengths), self.n, self.c, self.step


def lay_chain(unary: Array, pairwise: Array, mask: Array | None) -> Chain:
    """Lay a call out; nothing is copied."""
    n, c = unary.shape[-2:]
    leading = () if mask is None else mask.shape[:-1]
    batch = broadcast(unary.shape[:-2], pairwise.shape[:-3], leading)
    shared = pairwise.ndim == 2
    tables, steps = lay_tables(pairwise, batch, 0 if shared else 1)
    return Chain(batch, n, c, lay(unary, batch), tables, 0 if shared else steps[0], lengths_of(mask, batch, n))


def lay_tables(tables: Array, batch: tuple[int, ...], axes: int) -> tuple[Laid, tuple[int, ...]]:
    """Lay (..., steps, rows, columns) out, with one or more axes of steps: the first table, and the way to the next."""
    if not tables.flags.aligned or any(stride % tables.itemsize for stride in tables.strides):
        tables = tables.copy()
    last = tables.ndim - 2
    if 0 in tables.shape[last - axes : last]:
        return lay(np.zeros((1, 1), dtype=tables.dtype), batch), (0,) * axes
    steps = tuple(stride // tables.itemsize for stride in tables.strides[last - axes : last])
    first: Any = (..., *(0,) * axes, slice(None), slice(None))
    return lay(tables[first], batch), steps


def lengths_of(mask: Array | None, batch: tuple[int, ...], n: int) -> Array:
    """How long each chain is: its mask is True up to there."""
    if mask is None:
        return np.full(math.prod(batch), n)
    lengths = np.broadcast_to(mask, (*mask.shape[:-1], n)).sum(axis=-1, dtype=np.int64)
    return np.ascontiguousarray(np.broadcast_to(lengths, batch)).reshape(-1)


@cache
def step_of(real: Real) -> Any:
    """Make reach(parts, top, mass, before, pairwise, at, c).

    `before` are the logarithms of what beginnings weigh, by their last label a. Then `parts` (c, c) and `mass` (c,) are
    such that parts[a, b] / mass[b] is the probability of a given that b follows, and log(mass[b]) + top[b] the
    logarithm of what beginnings that reach b weigh.
    """
    zero, infinity, exp = real.number(0), real.number(np.inf), real.exp
    of = str(real.dtype)

    def along(parts, base, memory, at, column, top, c):
        for b in range(c):
            x = base + memory[at + b * column]
            parts[b] = x
            top[b] = x if x > top[b] else top[b]

    def contiguous(parts, base, memory, at, top, c):
        along(parts, base, memory, at, 1, top, c)

    along = part(along, of, inline=True)
    contiguous = part(contiguous, of)

    def scattered(parts, base, memory, at, column, top, c):
        along(parts, base, memory, at, column, top, c)

    scattered = part(scattered, of)

    def weigh(parts, top, mass, c):
        for b in range(c):
            e = exp(parts[b] - top[b])
            parts[b] = e
            mass[b] += e

    weigh = part(weigh, of)

    def reach(parts, top, mass, before, pairwise, at, c):
        for b in range(c):
            top[b], mass[b] = -infinity, zero
        for a in range(c):
            start = at + a * pairwise.row
            if pairwise.column == 1:
                contiguous(moved(parts, a * c), before[a], pairwise.memory, start, top, c)
            else:
                scattered(moved(parts, a * c), before[a], pairwise.memory, start, pairwise.column, top, c)
        for b in range(c):
            top[b] = zero if top[b] == -infinity else top[b]
        for a in range(c):
            weigh(moved(parts, a * c), top, mass, c)

    return part(reach, of)


class Search(NamedTuple):
    """The parts of a search for the best path, in one precision. Of equals, the first."""

    arrive: Any
    """arrive(arrivals, pointers, base, pairwise, at, label, c): paths that come from a label, of which the best weighs
    `base`, to all labels; `at` is its row of the table."""
    first_best: Any
    """first_best(array, c): where the largest number stands."""


@cache
def search_of(real: Real) -> Search:
    """Make the parts of one precision. Pointers are numbers of that precision, so that vectors of both are chosen."""
    of, number, better = str(real.dtype), real.number, sums_of(real).better

    def choose(arrivals, pointers, base, memory, at, column, label, c):
        for b in range(c):
            x = base + memory[at + b * column]
            taken = better(x, arrivals[b])
            arrivals[b] = x if taken else arrivals[b]
            pointers[b] = label if taken else pointers[b]

    choose = part(choose, of, inline=True)

    def side_by_side(arrivals, pointers, base, memory, at, label, c):
        choose(arrivals, pointers, base, memory, at, 1, label, c)

    side_by_side = part(side_by_side, of)

    def apart(arrivals, pointers, base, memory, at, column, label, c):
        choose(arrivals, pointers, base, memory, at, column, label, c)

    apart = part(apart, of)

    def arrive(arrivals, pointers, base, pairwise, at, label, c):
        if pairwise.column == 1:
            side_by_side(arrivals, pointers, base, pairwise.memory, at, number(label), c)
        else:
            apart(arrivals, pointers, base, pairwise.memory, at, pairwise.column, number(label), c)

    def first_best(array, c):
        best = 0
        for b in range(1, c):
            best = b if better(array[b], array[best]) else best
        return best

    return Search(part(arrive, of), part(first_best, of))
