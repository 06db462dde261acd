"""Where the numbers of a call stand in memory."""

import math
from collections.abc import Callable
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from ..contract import Array, Option
from ..records import find
from .plan import Call, Plan, dtype_named

LAYOUTS = ("contiguous", "transposed", "sliced", "reversed", "stretched", "column-major")
"""Stretched: one row stands for all of them, with a stride of 0."""


def laid_out(call: Call, plan: Plan) -> Call:
    """Round to the dtype of the call and lay the arrays out in memory."""
    dtype = dtype_named(plan.dtype)
    count = 0
    dependent = plan.hidden is not None or find(call.name).valid is not None  # entries belong to those beside them

    def place(array: NDArray[Any], cast: bool, legal: bool = False) -> NDArray[Any]:
        nonlocal count
        layout = plan.layouts[count % len(plan.layouts)] if plan.layouts else "contiguous"
        if layout == "stretched" and (dependent or legal):
            layout = "contiguous"
        count += 1
        if cast:
            with np.errstate(over="ignore"):
                array = array.astype(dtype)
        laid = in_layout(array, layout)
        laid.flags.writeable = plan.writeable and laid.flags.writeable
        return laid

    arrays = tuple(
        tuple(place(part, True) for part in value) if isinstance(value, tuple) else place(value, True)
        for value in call.arrays
    )
    options = {name: _placed(call.name, name, value, place) for name, value in call.options.items()}
    return Call(call.name, arrays, options)


def _placed(function: str, name: str, value: Any, place: Callable[[Any, bool, bool], Any]) -> Any:
    """Lay an option out: masks, biases and places keep their dtype, and what was made legal as a whole its entries."""
    if isinstance(value, tuple):
        return tuple(place(part, True, False) if hasattr(part, "shape") else part for part in value)
    if not hasattr(value, "shape"):
        return value
    option = find(function).options[name]
    if not isinstance(option, Array):  # places, which stay whole numbers
        return place(value, False, False)
    return place(value, value.dtype.kind != "b" and not is_spread(option), option.valid is not None)


def is_spread(option: Option) -> TypeGuard[Array]:
    """Whether an option is a mask or a bias, whose kind the plan names."""
    return isinstance(option, Array) and option.broadcast and option.optional


def in_layout(array: NDArray[Any], layout: str) -> NDArray[Any]:
    """Return the same numbers in another layout; "stretched" repeats the first row of a matrix.

    >>> in_layout(np.arange(6.0).reshape(2, 3), "reversed").strides
    (-24, -8)
    """
    if array.ndim == 0 or layout == "contiguous":
        return np.ascontiguousarray(array).reshape(array.shape)
    if layout == "transposed":
        return np.ascontiguousarray(array.swapaxes(0, -1)).swapaxes(0, -1)
    if layout == "column-major":
        return np.asfortranarray(array)
    if layout == "sliced":
        wide = np.zeros([2 * size + 1 for size in array.shape], dtype=array.dtype)
        if array.dtype.kind == "f":
            wide[...] = np.nan  # what lies between the entries must never be read
        view = wide[(slice(1, None, 2),) * array.ndim]
        view[...] = array
        return view
    if layout == "reversed":
        axes = tuple(range(max(array.ndim - 2, 0), array.ndim))
        return np.flip(np.ascontiguousarray(np.flip(array, axes)), axes)
    if layout == "stretched":
        if array.ndim < 2 or math.prod(array.shape) == 0:
            return array
        return np.broadcast_to(array[..., :1, :], array.shape)
    raise ValueError(f"layout is {layout!r}; it needs one of {LAYOUTS}")
