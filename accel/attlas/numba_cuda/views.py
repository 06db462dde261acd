"""Views of arrays that may lie on a GPU: other axes, other order, the same memory."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .operands import contiguous_strides, shape_of
from .target import cuda


class _View:
    """A part of an array's memory, described by the CUDA array interface."""

    def __init__(self, base: Any, shape: tuple[int, ...], strides: tuple[int, ...], skipped: int) -> None:
        interface = base.__cuda_array_interface__
        self.base = base  # keeps the memory alive
        self.shape = shape
        data = (interface["data"][0] + skipped, interface["data"][1])
        self.__cuda_array_interface__ = {**interface, "shape": shape, "strides": strides, "data": data}


def viewed(array: Any, indexed: Callable[[Any], Any]) -> Any:
    """Return the view that `indexed` makes of a NumPy array, of any array."""
    if isinstance(array, np.ndarray):
        return indexed(array)
    interface = array.__cuda_array_interface__
    shape, dtype = tuple(interface["shape"]), np.dtype(interface["typestr"])
    strides = interface.get("strides") or contiguous_strides(shape, dtype.itemsize)
    # An array of that form on the host, whose memory is never looked at, shows where things would be.
    form = np.lib.stride_tricks.as_strided(np.zeros(1, dtype), shape, strides, writeable=False)
    part = indexed(form)
    skipped = part.__array_interface__["data"][0] - form.__array_interface__["data"][0]
    return _View(array, part.shape, part.strides, skipped)


def as_row(array: Any) -> Any:
    """View (..., c) as (..., 1, c)."""
    return viewed(array, lambda a: np.atleast_1d(a)[..., None, :])


def as_column(array: Any) -> Any:
    """View (..., n) as (..., n, 1)."""
    return viewed(array, lambda a: np.atleast_1d(a)[..., None])


def as_cell(array: Any) -> Any:
    """View (...) as (..., 1, 1)."""
    return viewed(array, lambda a: a[..., None, None])


def transposed(array: Any) -> Any:
    """View (..., m, n) as (..., n, m)."""
    return viewed(array, lambda a: np.atleast_2d(a).mT)


def upside_down(array: Any) -> Any:
    """View the rows of (..., m, n), last one first."""
    return viewed(array, lambda a: a[..., ::-1, :])


def turned(array: Any) -> Any:
    """View (..., m, n) as (..., n, m), both axes reversed: what is causal then stays causal."""
    return viewed(array, lambda a: np.atleast_2d(a).mT[..., ::-1, ::-1])


def rows_from(array: Any, start: int, stop: int) -> Any:
    """View some rows of (..., m, n)."""
    return viewed(array, lambda a: a[..., start:stop, :])


def once(array: Any) -> Any:
    """View one of those members of (..., m, n) that are the same memory; the strides of nothing do not say which."""
    if 0 in shape_of(array):
        return array
    return viewed(array, lambda a: a[tuple(slice(0, 1) if step == 0 else slice(None) for step in a.strides[:-2])])


def spread(array: Any, batch: tuple[int, ...]) -> Any:
    """View (..., m, n) over more leading axes: the opposite of `once`; what has them already comes back as it is."""
    if shape_of(array)[:-2] == batch:
        return array
    return viewed(array, lambda a: np.broadcast_to(a, (*batch, *a.shape[-2:])))


def as_rows(array: Any, axis: int, rank: int) -> Any:
    """View an array, broadcast to a rank, as (..., rows, n): its axis `axis` last, and another before it.

    >>> as_rows(np.ones((5, 7)), axis=-2, rank=3).shape
    (1, 7, 5)
    >>> as_rows(np.ones(7), axis=0, rank=1).shape
    (1, 7)
    """

    def indexed(a: Any) -> Any:
        last = np.moveaxis(a[(None,) * (rank - a.ndim)], axis, -1)
        return last[None] if rank == 1 else last

    return viewed(array, indexed)


def with_axis_back(rows: Any, shape: tuple[int, ...], axis: int) -> Any:
    """View a contiguous array of rows along an axis of `shape` as an array of that shape.

    >>> with_axis_back(np.arange(6.0).reshape(3, 2), (2, 3), axis=0)
    array([[0., 2., 4.],
           [1., 3., 5.]])
    """
    others = [size for place, size in enumerate(shape) if place != axis % len(shape)]
    view = viewed(rows, lambda a: np.moveaxis(a.reshape(*others, shape[axis]), -1, axis))
    return view if isinstance(view, np.ndarray) else cuda.as_cuda_array(view)
