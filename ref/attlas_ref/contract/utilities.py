"""Checks for the arrays of utilities: labels, flags and sizes that no kernel computes with."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .binding import check_array_like, dtype_name


def check_rank(function: str, name: str, array: NDArray[Any], rank: int | None, axes: str) -> NDArray[Any]:
    """Return the array if it has `rank` axes, or at least one where `rank` is None."""
    if array.ndim != rank if rank is not None else array.ndim < 1:
        raise ValueError(f"{function}: {name} has shape {array.shape}; it needs the shape {axes}")
    return array


def check_booleans(function: str, name: str, value: Any, axes: str, rank: int | None = 1) -> NDArray[np.bool_]:
    """Return a boolean array of the given axes, or raise."""
    array = np.asarray(check_array_like(function, name, value))
    if array.dtype != np.bool_:
        raise TypeError(f"{function}: {name} has dtype {dtype_name(array)}; it needs booleans")
    return check_rank(function, name, array, rank, axes)


def check_labels(
    function: str, name: str, value: Any, axes: str, low: int = 0, high: int | None = None, rank: int | None = 1
) -> NDArray[np.int64]:
    """Return whole numbers between `low` and `high`, both included, or raise."""
    array = np.asarray(check_array_like(function, name, value))
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{function}: {name} has dtype {dtype_name(array)}; it needs whole numbers")
    check_rank(function, name, array, rank, axes)
    labels = array.astype(np.int64)
    if array.size and (labels.min() < low or (high is not None and labels.max() > high)):
        upper = "" if high is None else f" and at most {high}"
        raise ValueError(
            f"{function}: {name} runs from {labels.min()} to {labels.max()}; it needs at least {low}{upper}"
        )
    return labels


def check_reals(
    function: str, name: str, value: Any, axes: str, rank: int, *, exact: bool = False
) -> NDArray[np.float64]:
    """Return real numbers in float64 with at least `rank` axes (exactly so many with `exact`), or raise."""
    array = np.asarray(check_array_like(function, name, value))
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{function}: {name} has dtype {dtype_name(array)}; it needs real numbers")
    if array.ndim < rank or (exact and array.ndim != rank):
        raise ValueError(f"{function}: {name} has shape {array.shape}; it needs the shape {axes}")
    return array.astype(np.float64)
