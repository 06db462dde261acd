"""What attentions that move step by step share on the CPU: masks, shares, and sums of values by rows of weights.

The weights of a few steps are kept, so that the values are summed by one product for all of them (`vector.multiply`).
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..compile import part
from ..launch import FIELDS
from ..operands import Array, Laid, lay, lean
from ..pointers import Matrix, bytes_at, moved, places_at
from ..probabilistic.sums import sums_of
from ..real import Real
from ..vector import lanes_of, multiply

ROWS = 16
"""Steps whose weights are kept."""


class Steps(NamedTuple):
    """Parts of kernels, in one precision."""

    open_mask: Any
    """open_mask(table, index)"""
    note: Any
    """note(seen, mask, member, i, n): what step i sees, a byte per key."""
    take: Any
    """take(packed, value, member, n, e, lanes): the values by rows of whole vectors, zeros behind."""
    read: Any
    """read(output, sums, weights, packed, value, mask, member, first, count, sizes): the outputs of some steps; their
    weights are used up. There are `room_of_sums` sums."""
    keep: Any
    """keep(target, member, weights, first, count, n): write the weights of some steps into a matrix."""
    share: Any
    """share(w, seen, n): the softmax of logarithms over what is seen, in place; zeros where nothing is."""
    divide: Any
    """divide(w, seen, n): divide by the total of what is seen, unless that is 0."""
    fold: Any
    """fold(w, seen, n): hide what is not seen, as -inf; the largest, 0 if that is -inf."""


class Values(NamedTuple):
    """How values are summed."""

    n: int
    e: int
    lanes: int
    """e in whole vectors."""
    width: int
    finite: int
    """Whether no value can be NaN or infinite."""


def values_of(value: Array, mask: Array | None) -> Values:
    """Return how the values of a call are summed."""
    width = lanes_of(value.dtype)
    finite = bool(np.isfinite(lean(value).sum()))
    n, e = value.shape[-2:]
    return Values(n, e, -(-e // width) * width, width, int(finite))


def room_of_sums(lanes: int) -> int:
    """Return how many numbers the sums of some steps take."""
    return ROWS * (lanes + 1)


def lay_mask(mask: Array | None, batch: tuple[int, ...]) -> Laid:
    """Lay a mask out; none is a single True."""
    return lay(np.ones((1, 1), dtype=bool) if mask is None else mask, batch)


def lay_result(result: Array | None, batch: tuple[int, ...], dtype: np.dtype[Any]) -> Laid:
    """Lay a result out that may have fewer leading axes than the batch: then some members write the same numbers."""
    if result is None:
        return lay(np.zeros((1, 1), dtype=dtype), batch)
    return lay(np.broadcast_to(result, (*batch, *result.shape[-2:])), batch)


@cache
def steps_of(real: Real) -> Steps:
    """Make the parts of one precision."""
    zero, one, infinity, sums = real.number(0), real.number(1), real.number(np.inf), sums_of(real)
    of, gradual = str(real.dtype), sums.gradual
    info = np.finfo(real.dtype)
    normal, large = real.number(info.smallest_normal), real.number(np.sqrt(info.smallest_normal))
    lift, lowered = real.number(2.0 ** (info.maxexp // 2)), real.number(2.0 ** -(info.maxexp // 2))

    def open_mask(table, index):
        at = FIELDS * index
        return Matrix(bytes_at(table[at]), places_at(table[at + 1]), table[at + 2], table[at + 3])

    def note(seen, mask, member, i, n):
        at = mask.places[member] + i * mask.row
        if mask.column == 1:
            for j in range(n):
                seen[j] = mask.memory[at + j]
        elif mask.column == 0:  # one byte for all keys, most often since there is no mask
            for j in range(n):
                seen[j] = mask.memory[at]
        else:
            for j in range(n):
                seen[j] = mask.memory[at + j * mask.column]

    def take(packed, value, member, n, e, lanes):
        for j in range(n):
            at = value.places[member] + j * value.row
            for x in range(e):
                packed[j * lanes + x] = value.memory[at + x * value.column]
            for x in range(e, lanes):
                packed[j * lanes + x] = zero

    def careful(sums, weights, packed, mask, at, n, lanes):
        """The sum of one step, in the same order, without what is hidden; any weight makes an infinite value felt."""
        for x in range(lanes):
            sums[x] = zero
        for j in range(n):
            weight, visible = weights[j], mask.memory[at + j * mask.column] != 0
            for x in range(lanes):
                number = packed[j * lanes + x]
                sums[x] += weight * number if visible | (number - number == zero) else zero

    careful = part(careful, of)

    def settle(w, n):
        """Keep products normal, since others take a hundred times as long; what the sum is to be multiplied with.

        Beside a large weight one that is no normal number counts as 0; small ones are all lifted.
        """
        loud, positive = 0, 0  # whole numbers are counted in vectors
        for j in range(n):
            loud += w[j] > large
            positive += w[j] > zero
        if (positive == 0) | (loud > 0):
            for j in range(n):
                w[j] = zero if abs(w[j]) < normal else w[j]
            return one
        for j in range(n):
            w[j] *= lift
        return lowered

    def reached(weights, count, n):
        """From which key to which any weight of some steps is not 0."""
        low, high = n, 0
        for r in range(count):
            at, end = r * n, r * n + n
            while (at < r * n + low) and (weights[at] == zero):
                at += 1
            while (end > r * n + high) and (weights[end - 1] == zero):
                end -= 1
            low, high = at - r * n, end - r * n
        return low, max(low, high)

    settle, reached = part(settle, of), part(reached, of)

    def read(output, sums, weights, packed, value, mask, member, first, count, sizes):
        n, e, lanes, width, finite = sizes
        factors = moved(sums, count * lanes)
        for r in range(count):
            factors[r] = settle(moved(weights, r * n), n) if finite else one
        if finite:
            low, high = reached(weights, count, n)
            matrix, rows = Matrix(weights, value.places, n, 1), moved(packed, low * lanes)
            multiply(sums, rows, matrix, low, n, 1, count, high - low, lanes, width, sums)
        else:
            for r in range(count):
                at = mask.places[member] + (first + r) * mask.row
                careful(moved(sums, r * lanes), moved(weights, r * n), packed, mask, at, n, lanes)
        for r in range(count):
            for x in range(e):
                output[(first + r) * e + x] = sums[r * lanes + x] * factors[r]

    def keep(target, member, weights, first, count, n):
        for r in range(count):
            at = target.places[member] + (first + r) * target.row
            for j in range(n):
                target.memory[at + j * target.column] = weights[r * n + j]

    def fold(w, seen, n):
        top = -infinity
        for j in range(n):
            x = w[j] if seen[j] else -infinity
            w[j] = x
            top = x if x > top else top
        return zero if top == -infinity else top

    def divide(w, seen, n):
        total = sums.total(w, n)
        if total != zero:
            for j in range(n):
                w[j] = w[j] / total if seen[j] else zero

    fold, divide = part(fold, of), part(divide, of)

    def share(w, seen, n):
        top = fold(w, seen, n)
        for j in range(n):
            w[j] = gradual(w[j] - top)
        divide(w, seen, n)

    return Steps(
        part(open_mask, of),
        part(note, of),
        part(take, of),
        part(read, of),
        part(keep, of),
        part(share, of),
        divide,
        fold,
    )
