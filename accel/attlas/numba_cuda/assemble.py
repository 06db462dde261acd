"""Small matrices on the device, made entry by entry of others: products, quotients, stacks.

Bound by bytes: each entry is read from two operands and written once. Only O(m + n) rows or learned parameters pass
through here, never pairs.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .blocks import default_block
from .operands import lay_out, shape_of
from .rules import Real
from .target import allocate, cuda, device, kernel, launch, shaped

ROWS_PER_BLOCK = 8
LEFT, RIGHT = range(2)

Entry = Callable[[Real], Callable[..., Any]]
"""Builds entry(left, right): what is made of one entry of each operand."""


@functools.cache
def build_assemble(real: Real, entry_of: Entry) -> Any:
    """Build the kernel that fills `rows` x `columns` entries of each member, from (row0, column0) on."""
    entry = entry_of(real)

    def assemble(first, block_count, rows, columns, left, right, layout, row0, column0, all_rows, all_columns, output):
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        row_blocks = (rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK
        i0 = index % row_blocks * ROWS_PER_BLOCK
        batch = index // row_blocks
        count = min(ROWS_PER_BLOCK, rows - i0) * columns
        for place in range(cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x, count, threads):
            i = i0 + place // columns
            c = place % columns
            a = left[layout[LEFT, 2 + batch] + i * layout[LEFT, 0] + c * layout[LEFT, 1]]
            b = right[layout[RIGHT, 2 + batch] + i * layout[RIGHT, 0] + c * layout[RIGHT, 1]]
            output[(batch * all_rows + row0 + i) * all_columns + column0 + c] = entry(a, b)

    return kernel(assemble)


class Assembly:
    """A matrix (*batch, rows, columns) to be filled part by part."""

    def __init__(self, batch: tuple[int, ...], rows: int, columns: int, dtype: np.dtype[Any]) -> None:
        self.batch, self.shape, self.dtype = batch, (*batch, rows, columns), dtype
        self.memory = allocate(self.shape, dtype)

    def put(self, entry: Entry, left: Any, right: Any = None, row: int = 0, column: int = 0) -> "Assembly":
        """Fill what the two matrices cover, with their upper left corner at (row, column); no right one means ones."""
        block = default_block(self.dtype)
        real: Any = self.dtype.type
        right = np.ones((1, 1), self.dtype) if right is None else right
        rows, columns = np.broadcast_shapes(shape_of(left)[-2:], shape_of(right)[-2:])
        memories, layout = lay_out([left, right], self.batch)
        blocks = math.prod(self.batch) * -(-rows // ROWS_PER_BLOCK)
        launch(
            build_assemble(real, entry), blocks, block.threads,
            rows, columns, *memories, layout, row, column, *self.shape[-2:], self.memory,
        )  # fmt: skip
        return self

    @property
    def matrix(self) -> Any:
        """The matrix, on the device (in the simulator: a NumPy array)."""
        return shaped(self.memory, self.shape)


def product(real: Real) -> Callable[..., Any]:
    """Make left times right."""

    @device
    def entry(left, right):
        return left * right

    return entry
