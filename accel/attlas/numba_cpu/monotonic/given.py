"""What the kernels over rows of pairs share: the layout of a call, and how a row is read.

A row of any strides is copied into contiguous memory of a thread once, what is hidden replaced on the way: so the loops
that follow know neither strides nor masks.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..compile import part
from ..operands import Array, Laid, lay
from ..pointers import Matrix, bytes_at, places_at
from ..real import Real

LOUD = 2.0**-40
"""A chance beside which all in a matrix that are no normal numbers add up to less than is rounded."""


class Given(NamedTuple):
    """One call, laid out."""

    batch: tuple[int, ...]
    m: int
    n: int
    operands: list[Laid]
    """The mask, and then the arrays."""
    hides: int
    """Whether there is a mask."""

    @property
    def members(self) -> int:
        """How many batch members there are."""
        return math.prod(self.batch)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """What every kernel needs to know: m, n and whether anything is hidden."""
        return self.m, self.n, self.hides


def lay_given(mask: Array | None, *arrays: Array, rows: tuple[Array, ...] = ()) -> Given:
    """Lay a call out: matrices (..., m, n), and `rows` (..., n); nothing is copied."""
    visible = np.ones((1, 1), dtype=bool) if mask is None else mask
    matrices = [visible, *arrays, *(row[..., None, :] for row in rows)]
    batch = np.broadcast_shapes(*(matrix.shape[:-2] for matrix in matrices))
    m, n = arrays[0].shape[-2:]
    return Given(batch, m, n, [lay(matrix, batch) for matrix in matrices], int(mask is not None))


def start_of(previous: Array | None, n: int, dtype: np.dtype[Any]) -> Array:
    """Return where a pointer is before the first row, (..., n): on key 0 if nothing is said."""
    return np.eye(1, n, dtype=dtype)[0] if previous is None else previous


def _open_mask(table):
    """The mask: the first of the operands."""
    return Matrix(bytes_at(table[0]), places_at(table[1]), table[2], table[3])


open_mask: Any = part(_open_mask)


@cache
def loud_of(real: Real) -> Any:
    """Make is_loud(row, n): whether some number is larger than `LOUD`."""
    most = real.number(LOUD)

    def is_loud(row, n):
        count = 0  # whole numbers are counted in vectors
        for j in range(n):
            count += 1 if row[j] > most else 0
        return count > 0

    return part(is_loud, str(real.dtype))


@cache
def reader_of(real: Real) -> Any:
    """Make read(line, matrix, mask, hides, member, i, n, otherwise): row i, with `otherwise` in hidden places."""
    of = str(real.dtype)

    def copy(line, memory, at, step, n):
        for j in range(n):
            line[j] = memory[at + j * step]

    def choose(line, memory, at, step, seen, seen_at, seen_step, n, otherwise):
        for j in range(n):
            line[j] = memory[at + j * step] if seen[seen_at + j * seen_step] else otherwise

    copy, choose = part(copy, of, inline=True), part(choose, of, inline=True)

    def copy_near(line, memory, at, n):
        copy(line, memory, at, 1, n)

    def choose_near(line, memory, at, seen, seen_at, n, otherwise):
        choose(line, memory, at, 1, seen, seen_at, 1, n, otherwise)

    def copy_far(line, memory, at, step, n):
        copy(line, memory, at, step, n)

    def choose_far(line, memory, at, step, seen, seen_at, seen_step, n, otherwise):
        choose(line, memory, at, step, seen, seen_at, seen_step, n, otherwise)

    # With a step of 1 that the compiler knows, it takes vectors.
    copy_near, choose_near = part(copy_near, of), part(choose_near, of)
    copy_far, choose_far = part(copy_far, of), part(choose_far, of)

    def read(line, matrix, mask, hides, member, i, n, otherwise):
        at, seen_at = matrix.places[member] + i * matrix.row, mask.places[member] + i * mask.row
        if hides:
            if matrix.column == 1 and mask.column == 1:
                choose_near(line, matrix.memory, at, mask.memory, seen_at, n, otherwise)
            else:
                choose_far(line, matrix.memory, at, matrix.column, mask.memory, seen_at, mask.column, n, otherwise)
        elif matrix.column == 1:
            copy_near(line, matrix.memory, at, n)
        else:
            copy_far(line, matrix.memory, at, matrix.column, n)

    return part(read, of)
