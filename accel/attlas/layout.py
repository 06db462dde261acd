"""One memory layout for every array that a kernel reads.

A kernel should not be compiled again for another rank, stride or broadcast. So every array is handed over as flat
memory (from its lowest to its highest element), a table of where each batch member begins, and two strides. Slices,
transposes, reversed and broadcast axes are all covered, and nothing is copied: a broadcast axis has stride 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Layout:
    """Where the entries of an array (..., rows, columns) stand in flat memory; all numbers count elements."""

    lowest: int
    """From the array's first element to the lowest one: 0, or negative where an axis is reversed."""
    extent: int
    """How many elements lie between the lowest and the highest, both included; 0 for an empty array."""
    offsets: NDArray[np.int64]
    """(batch,): where each batch member's entry (0, 0) stands, counted from the lowest element."""
    row: int
    """The step from row to row; 0 where rows are broadcast."""
    column: int
    """The step from column to column; 0 where columns are broadcast."""


def layout_of(
    shape: Sequence[int], strides: Sequence[int], itemsize: int, batch: tuple[int, ...], core: int = 2
) -> Layout | None:
    """Lay an array out over a batch.

    Parameters
    ----------
    shape, strides : sequences of int
        Of the array; strides in bytes.
    itemsize : int
        Bytes per element.
    batch : tuple of int
        The leading axes to which the array's own broadcast.
    core : int, default 2
        How many of the last axes are not batch: 2 for matrices, 1 for vectors (then `row` steps along the vector).

    Returns
    -------
    Layout or None
        None if a stride is not a whole number of elements; such an array must be copied first.

    Raises
    ------
    ValueError
        If the leading axes do not broadcast to the batch: some members would never be read.

    Examples
    --------
    A reversed matrix, broadcast over a batch of two:

    >>> a = np.arange(6.0).reshape(2, 3)[::-1]
    >>> layout_of(a.shape, a.strides, a.itemsize, batch=(2,))
    Layout(lowest=-3, extent=6, offsets=array([3, 3]), row=-3, column=1)
    """
    own = tuple(shape[: max(0, len(shape) - core)])
    fitting = batch[len(batch) - len(own) :] if len(own) <= len(batch) else ()
    if len(fitting) < len(own) or any(size not in (1, most) for size, most in zip(own, fitting, strict=True)):
        raise ValueError(f"leading axes {own} do not broadcast to {batch}")
    steps = [0 if size <= 1 else stride for size, stride in zip(shape, strides, strict=True)]
    if any(step % itemsize for step in steps):
        return None
    steps = [step // itemsize for step in steps]
    if 0 in shape:
        return Layout(0, 0, np.zeros(math.prod(batch), dtype=np.int64), 0, 0)
    reach = [step * (size - 1) for size, step in zip(shape, steps, strict=True)]
    lowest = sum([r for r in reach if r < 0])
    extent = 1 + sum(map(abs, reach))

    padded = [0] * (len(batch) + core - len(steps)) + steps
    leading, inner = padded[: len(batch)], padded[len(batch) :]
    offsets: NDArray[np.int64] | None = None
    for step, size in zip(leading, batch, strict=True):
        if size != 1:
            along = np.arange(size, dtype=np.int64) * step
            offsets = along - lowest if offsets is None else np.add.outer(offsets, along).reshape(-1)
    if offsets is None:
        offsets = np.array([-lowest], dtype=np.int64)
    return Layout(lowest, extent, offsets, inner[0], inner[1] if core == 2 else 0)


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """`numpy.broadcast_shapes`, which takes its time; shapes that are alike, the usual case, need none."""
    distinct = {shape for shape in shapes if shape}
    return distinct.pop() if len(distinct) == 1 else np.broadcast_shapes(*distinct)


def flat_memory(array: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Return the memory of a NumPy array as one read-only axis, from its lowest element to its highest."""
    if layout.extent == 0:
        flat = np.empty(0, dtype=array.dtype)
        flat.flags.writeable = False
        return flat
    corner = array[tuple(slice(-1, None) if step < 0 else slice(0, 1) for step in array.strides)]
    return np.lib.stride_tricks.as_strided(corner, (layout.extent,), (array.itemsize,), writeable=False)
