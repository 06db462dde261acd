"""How kernels read what has more than two axes of its own: a table for each step, or for each start and length."""

from typing import Any

import numpy as np

from ..operands import contiguous_strides, dtype_of, operand, shape_of
from ..target import upload

OUTER_STEP, STEP, TABLE_ROW, TABLE_COLUMN, FIRST_TABLE = range(5)
"""The columns of the table `placed`: four steps in memory, then where each batch member begins."""


def lay_tables(array: Any, batch: tuple[int, ...], core: int) -> tuple[Any, Any]:
    """Lay (..., steps, rows, columns) out, or with two axes of steps: its memory, and on the device where it stands."""
    if isinstance(array, np.ndarray) and any(step % array.itemsize for step in array.strides):
        array = array.copy()
    memory, layout = operand(array, batch, core)
    shape, dtype = shape_of(array), dtype_of(array)
    strides = _byte_strides(array, shape, dtype)[len(shape) - core :]
    sizes = shape[len(shape) - core :]
    steps = [0 if size <= 1 else stride // dtype.itemsize for size, stride in zip(sizes, strides, strict=True)]
    return memory, upload(np.array([[*[0] * (4 - core), *steps, *layout.offsets]], dtype=np.int64))


def _byte_strides(array: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, ...]:
    if isinstance(array, np.ndarray):
        return array.strides
    return array.__cuda_array_interface__.get("strides") or contiguous_strides(shape, dtype.itemsize)
