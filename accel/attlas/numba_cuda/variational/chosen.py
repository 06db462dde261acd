"""What follows a choice: the rows of the values that were chosen, and the choice as weights.

No weight ever meets a value: rows are copied by their numbers, so that nothing in the others can be felt. Bound by
bytes, those of the result; neighboring threads write neighboring entries. Nothing is rounded.
"""

import functools
import math
from typing import Any

import numpy as np

from ..bands import ceil
from ..dense import Attention
from ..operands import lay_out, leading_axes, shape_of
from ..pieces import COLUMN_STEP, FIRST_MEMBER, ROW_STEP, sees
from ..rules import Real
from ..target import allocate, cuda, kernel, launch, shaped
from ..views import as_column

CHOSEN, CHOSEN_VALUE = range(2)
"""The rows of the table of operands when values are read."""


@functools.cache
def build_read(real: Real) -> Any:
    """Build the kernel that copies the values with the numbers in `taken`.

    A row gets zeros at -1, and NaN there if `total` is one; a thread makes one entry.
    """
    zero, nan = real(0), real(math.nan)

    def read(first, block_count, m, e, taken, total, value, layout, output):
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        parts = (m * e + threads - 1) // threads
        place = index % parts * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if place >= m * e:
            return
        batch = index // parts
        i = place // e
        start = layout[CHOSEN, FIRST_MEMBER + batch] + i * layout[CHOSEN, ROW_STEP]
        j = taken[start]
        number = zero
        if j >= 0:
            row = layout[CHOSEN_VALUE, FIRST_MEMBER + batch] + j * layout[CHOSEN_VALUE, ROW_STEP]
            number = value[row + place % e * layout[CHOSEN_VALUE, COLUMN_STEP]]
        elif total[start] != total[start]:
            number = nan
        output[batch * m * e + place] = number

    return kernel(read)


@functools.cache
def build_one_hot(real: Real) -> Any:
    """Build the kernel that writes a choice as weights; where a NaN has spoiled the row, NaN at what is seen."""
    zero, one, nan = real(0), real(1), real(math.nan)

    def one_hot(first, block_count, m, n, diagonal, taken, total, mask, layout, matrix):
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        parts = (n + threads - 1) // threads
        j = index % parts * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if j >= n:
            return
        row = index // parts
        weight = one if j == taken[row] else zero
        if total[row] != total[row] and sees(mask, layout, row // m, row % m, j, diagonal):
            weight = nan
        matrix[row * n + j] = weight

    return kernel(one_hot)


class Choice:
    """A key for each query, (..., m), on the device."""

    def __init__(self, built: Any, attention: Attention) -> None:
        p = self.problem = attention.problem
        self.rows = attention.rows
        self.taken, self.total = allocate(self.rows, np.dtype(np.int64)), attention.total
        query, key, _, _, mask, bias = p.memories
        launch(
            built, p.members * ceil(p.m, p.block.own), p.block.threads,
            p.m, p.n, p.d, p.diagonal, query, key, mask, bias, p.extra, p.layout, *attention.numbers[:2],
            self.taken, self.total,
        )  # fmt: skip

    def read(self, value: Any) -> Any:
        """Copy the chosen rows of the values: zeros where there is no choice, NaN where a NaN has spoiled it."""
        p, (m, e) = self.problem, (self.problem.m, shape_of(value)[-1])
        taken = as_column(shaped(self.taken, self.rows))
        batch = leading_axes(taken, value)
        (numbers, rows), layout = lay_out([taken, value], batch)
        threads = math.prod(p.block.threads)
        output = allocate((*batch, m, e), p.dtype)
        launch(
            build_read(p.real), math.prod(batch) * ceil(m * e, threads), p.block.threads,
            m, e, numbers, self.total, rows, layout, output,
        )  # fmt: skip
        return shaped(output, (*batch, m, e))

    def one_hot(self) -> Any:
        """Return the choice as weights (..., m, n)."""
        p = self.problem
        matrix = allocate((*self.rows, p.n), p.dtype)
        launch(
            build_one_hot(p.real), math.prod(self.rows) * ceil(p.n, math.prod(p.block.threads)), p.block.threads,
            p.m, p.n, p.diagonal, self.taken, self.total, p.memories[4], p.layout, matrix,
        )  # fmt: skip
        return shaped(matrix, (*self.rows, p.n))
