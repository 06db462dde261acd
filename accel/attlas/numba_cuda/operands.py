"""What a launch reads: flat memory, and one table of integers that says where everything stands in it.

No array is copied or expanded for a kernel, and none of its rank, strides or broadcasting reaches the compiler.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..layout import Layout, flat_memory, layout_of
from .blocks import Block, default_block
from .target import memory_of, upload


def shape_of(array: Any) -> tuple[int, ...]:
    """Return the shape of a NumPy array or an array on the GPU."""
    return tuple(int(size) for size in array.shape)


def dtype_of(array: Any) -> np.dtype[Any]:
    """Return the dtype of a NumPy array or an array on the GPU, as NumPy's."""
    return array.dtype if isinstance(array, np.ndarray) else np.dtype(array.__cuda_array_interface__["typestr"])


def leading_axes(*arrays: Any) -> tuple[int, ...]:
    """Return the leading axes of all arrays, broadcast; None stands for no array."""
    return np.broadcast_shapes(*(shape_of(array)[:-2] for array in arrays if array is not None))


def operand(array: Any, batch: tuple[int, ...], core: int = 2) -> tuple[Any, Layout]:
    """Return an array's flat memory, where kernels read it, and its layout over a batch; `core` axes are no batch."""
    if isinstance(array, np.ndarray):
        return _host_operand(array, batch, core)
    interface = array.__cuda_array_interface__
    dtype = np.dtype(interface["typestr"])
    shape = tuple(interface["shape"])
    strides = interface.get("strides") or contiguous_strides(shape, dtype.itemsize)
    layout = layout_of(shape, strides, dtype.itemsize, batch, core)
    if layout is None:
        raise ValueError(f"an array on the GPU has strides {strides}; they need to be whole elements of {dtype.name}")
    if layout.extent == 0:
        return upload(np.zeros(1, dtype)), layout
    pointer = interface["data"][0] + layout.lowest * dtype.itemsize
    return memory_of(pointer, layout.extent, dtype, interface.get("stream")), layout


def _host_operand(array: NDArray[Any], batch: tuple[int, ...], core: int) -> tuple[Any, Layout]:
    layout = layout_of(array.shape, array.strides, array.itemsize, batch, core)
    if layout is None:
        array = array.copy()
        layout = layout_of(array.shape, array.strides, array.itemsize, batch, core)
        assert layout is not None
    if layout.extent == 0:
        return upload(np.zeros(1, array.dtype)), layout
    return upload(flat_memory(array, layout)), layout


def contiguous_strides(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Return the strides, in bytes, of an array without gaps in C order."""
    return tuple(itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def members_by_group(own: Sequence[int], batch: tuple[int, ...]) -> tuple[NDArray[np.int64], int]:
    """List the batch members that share one member of an argument with leading axes `own`, group after group.

    Returns the list and the number of members in each group.

    >>> members_by_group((2, 1), (2, 3))
    (array([0, 1, 2, 3, 4, 5]), 3)
    >>> members_by_group((3,), (2, 3))
    (array([0, 3, 1, 4, 2, 5]), 2)
    """
    groups = math.prod(own)
    owner = np.broadcast_to(np.arange(groups).reshape(own), batch).reshape(-1)
    return np.argsort(owner, kind="stable"), owner.size // max(groups, 1)


@dataclass
class Problem:
    """One dense attention problem on the device: operands, sizes and numbers in the order that kernels take them."""

    batch: tuple[int, ...]
    m: int
    n: int
    d: int
    e: int
    diagonal: int
    """Query i sees key j iff j <= i + diagonal."""
    dtype: np.dtype[Any]
    memories: list[Any]
    """Of query, key, value, grad, mask and bias."""
    layout: Any
    extra: Any
    """The memory of what a rule reads besides."""
    extra_width: int
    block: Block = field(init=False)

    def __post_init__(self) -> None:
        self.block = default_block(self.dtype)

    @property
    def members(self) -> int:
        """How many members the batch has."""
        return math.prod(self.batch)

    @property
    def real(self) -> Any:
        """The scalar type of the arithmetic."""
        return self.dtype.type

    def sizes(self, e: int | None = None) -> tuple[int, ...]:
        """Return m, n, d, e and the diagonal, as kernels take them; e = 0 leaves out what needs values."""
        return self.m, self.n, self.d, self.e if e is None else e, self.diagonal


def lay_out(arrays: Sequence[Any], batch: tuple[int, ...]) -> tuple[list[Any], Any]:
    """Return the flat memories of arrays, and on the device the table of where everything stands in them."""
    memories, layouts = zip(*(operand(array, batch) for array in arrays), strict=True)
    table = np.array([[layout.row, layout.column, *layout.offsets] for layout in layouts], dtype=np.int64)
    return list(memories), upload(table)


def problem(
    query: Any, key: Any, value: Any = None, grad: Any = None, *,
    mask: Any, bias: Any, diagonal: int | None, extra: Any = None,
) -> Problem:  # fmt: skip
    """Lay out a problem; `diagonal` None means that nothing is causal."""
    batch = leading_axes(query, key, value, grad, mask, bias, extra)
    (m, d), n = shape_of(query)[-2:], shape_of(key)[-2]
    e = 0 if value is None else shape_of(value)[-1]
    dtype = dtype_of(query)
    # What is absent is one entry, broadcast: nothing hidden, nothing added, and no second kernel.
    nothing = np.zeros((1, 1), dtype)
    present = [
        query,
        key,
        nothing if value is None else value,
        nothing if grad is None else grad,
        np.ones((1, 1), bool) if mask is None else mask,
        nothing if bias is None else bias,
        nothing if extra is None else extra,
    ]
    memories, layout = lay_out(present, batch)
    # Beyond these bounds all pairs or none are visible, and the sums with it stay within the integers.
    diagonal = n if diagonal is None else max(-m, min(n, diagonal))
    width = 0 if extra is None else shape_of(extra)[-1]
    return Problem(batch, m, n, d, e, diagonal, dtype, memories[:-1], layout, memories[-1], width)
