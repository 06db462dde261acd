"""Binary associative memories on Numba-CUDA: the classical Hopfield network and its dense successors.

Classical, all bits together: with fewer patterns than bits, and bits that are -1 and 1, a field is a read of linear
attention, the overlaps with the patterns times the patterns, less what each bit pulls on itself: 2 m n d multiply-adds
per step in the tile, all of them exact. Otherwise Hebb's matrix T is made once, n d² multiply-adds, with its diagonal
left out rather than taken away, and each step is a product with it. One bit after the other, T is read row by row.

Dense: the kernels of `dense_turns`. The overlaps of a state with all patterns are kept while its bits turn one after
the other, for as many states at a time as a band of scratch memory holds.

Results differ from the reference by rounding only.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from attlas_ref.contract import FieldResult

from ..assemble import Assembly, product
from ..bands import BAND, ceil
from ..blocks import default_block
from ..dense import Attention
from ..learned import linear, multiplied
from ..operands import dtype_of, lay_out, leading_axes, shape_of
from ..rows import default_row_block
from ..target import allocate, launch, shaped, upload
from ..views import transposed
from .dense_turns import build_dense_one_by_one, build_pull
from .turns import build_one_by_one, build_strays, build_turn


class _States:
    """The states of a memory and their fields, which change in place."""

    def __init__(self, query: Any, key: Any) -> None:
        self.batch, (self.m, self.d), self.dtype = leading_axes(query, key), shape_of(query)[-2:], dtype_of(query)
        self.real: Any = self.dtype.type
        self.assembly = Assembly(self.batch, self.m, self.d, self.dtype).put(product, query)
        self.shape = (*self.batch, self.m, self.d)
        self.rows = math.prod(self.shape[:-1])
        self.field = upload(np.zeros(max(1, math.prod(self.shape)), self.dtype))

    @property
    def memory(self) -> Any:
        return self.assembly.memory

    @property
    def matrix(self) -> Any:
        """The states as an array (..., m, d)."""
        return self.assembly.matrix

    def turn(self, factor: float, turns: bool) -> None:
        """Take factor times the bits off the fields, and set the bits to their signs if they turn."""
        size, block = math.prod(self.shape), default_block(self.dtype)
        launch(
            build_turn(self.real), ceil(size, block.across * block.down), block.threads,
            size, self.real(factor), int(turns), self.memory, self.field,
        )  # fmt: skip

    def together(self, steps: int, field_of: Callable[[Any], Any], factor: float = 0.0) -> None:
        """Update all bits together; with no steps, compute the fields alone."""
        for _ in range(max(1, steps)):
            self.field = field_of(self)
            self.turn(factor, turns=steps > 0)

    def result(self, return_field: bool) -> Any:
        """Return the states, with the fields if wanted."""
        output = self.matrix
        return FieldResult(output, shaped(self.field, self.shape)) if return_field else output


def _uploaded_order(order: Any, d: int) -> Any:
    return upload(np.arange(d, dtype=np.int64) if order is None else np.asarray(order, dtype=np.int64))


def _are_bits(array: Any) -> bool:
    """Whether all entries are -1 or 1; the host waits for the answer."""
    *batch, rows, columns = shape_of(array)
    (memory,), layout = lay_out([array], tuple(batch))
    block = default_block(dtype_of(array))
    real: Any = dtype_of(array).type
    blocks = math.prod(batch) * rows
    counts = upload(np.zeros(max(1, blocks * block.across * block.down), np.int64))
    launch(build_strays(real), blocks, block.threads, rows, columns, memory, layout, counts)
    return not counts.copy_to_host().any()


def classical_hopfield(
    query: Any, key: Any, *, steps: int, zero_diagonal: bool, return_field: bool, update: str, order: Any
) -> Any:
    """Compute `attlas_ref.classical_hopfield`."""
    states, (n, d) = _States(query, key), shape_of(key)[-2:]
    together = update == "sync" or steps == 0
    if together and n < d and _are_bits(key) and _are_bits(query):

        def read(states: _States) -> Any:
            attention = Attention(linear, states.matrix, key, key, mask=None, bias=None, scale=1.0)
            return _flat(attention.output(normalized=False))

        states.together(steps, read, factor=float(n) if zero_diagonal else 0.0)
        return states.result(return_field)

    bits = transposed(key)
    off_diagonal = ~np.eye(d, dtype=bool) if zero_diagonal else None
    hebb = Attention(linear, bits, bits, mask=off_diagonal, bias=None, scale=1.0).weights(normalized=False)
    if together:
        states.together(steps, lambda states: _flat(multiplied(states.matrix, hebb)))
    else:
        (matrix,), layout = lay_out([hebb], states.batch)
        block = default_row_block()
        launch(
            build_one_by_one(block, states.real), states.rows, block.threads,
            states.m, d, steps, _uploaded_order(order, d), matrix, layout, states.memory, states.field,
        )  # fmt: skip
    return states.result(return_field)


def _flat(array: Any) -> Any:
    """Return a contiguous result as one axis, where kernels write."""
    if isinstance(array, np.ndarray):
        return upload(array.reshape(-1) if array.size else np.zeros(1, array.dtype))
    return array.reshape(-1)


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
    """Compute `attlas_ref.dense_associative_memory`."""
    states, (n, d), exponential = _States(query, key), shape_of(key)[-2:], energy == "exp"
    if n == 0:  # no pattern, no pull; the logarithms of two empty sums have no difference
        return states.result(return_field)

    def pull(states: _States) -> Any:
        block = default_block(states.dtype)
        memories, layout = lay_out([states.matrix, key], states.batch)
        blocks = math.prod(states.batch) * ceil(states.m, block.own) * ceil(d, block.width)
        launch(
            build_pull(block, states.real, exponential), blocks, block.threads,
            states.m, n, d, *memories, layout, degree, int(rectified), states.memory, states.field,
        )  # fmt: skip
        return states.field

    if update == "sync" or steps == 0:
        states.together(steps, pull)
        return states.result(return_field)
    (patterns,), layout = lay_out([key], states.batch)
    block, at_once = default_row_block(), max(1, BAND // n)
    scratch = (min(at_once, states.rows), n)
    overlaps, lost = allocate(scratch, states.dtype), allocate(scratch, states.dtype)
    for row in range(0, states.rows, at_once):
        launch(
            build_dense_one_by_one(block, states.real, exponential), min(at_once, states.rows - row), block.threads,
            row, states.m, n, d, steps, _uploaded_order(order, d), patterns, layout, degree, int(rectified),
            overlaps, lost, states.memory, states.field,
        )  # fmt: skip
    return states.result(return_field)
