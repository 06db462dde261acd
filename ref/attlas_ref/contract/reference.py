"""The decorator that puts the contract around a reference."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

import numpy as np

from .binding import Bound, bind, dtype_name
from .options import Array, Levels, Partial

P = ParamSpec("P")
R = TypeVar("R")


def reference(function: Callable[P, R]) -> Callable[P, R]:
    """Make a formula a public reference: check the call, compute in at least float32, return the dtype that came.

    The bare formula stays reachable as ``__wrapped__``; it takes what the mathematics takes, complex numbers included,
    which is how derivatives are checked by a complex step.
    """

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        from ..records import find

        call = bind(find(function.__name__), args, kwargs)
        arrays, options = prepared(call)
        # NaN and infinity are legal inputs whose meaning the contract fixes: no warnings about them.
        with np.errstate(all="ignore"):
            result = function(*arrays, **options)
            return returned(result, call)

    return checked


def formula(function: Callable[P, R]) -> Callable[P, R]:
    """Return the bare formula of a reference, for use inside of another: its arguments have been checked already.

    Examples
    --------
    >>> from attlas_ref import softmax_attention
    >>> formula(softmax_attention)(np.zeros((1, 1)), np.zeros((2, 1)), np.array([[1.0], [3.0]]))
    array([[2.]])
    """
    bare: Callable[P, R] = function.__wrapped__  # type: ignore[attr-defined]
    return bare


def prepared(call: Bound) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of the bare formula: NumPy arrays of the compute dtype, and every option."""
    dtype, labels = np.dtype(call.compute_dtype), call.record.labels

    def real(array: Any) -> Any:
        return None if array is None else np.asarray(array).astype(dtype, copy=False)

    def whole(array: Any) -> Any:
        with np.errstate(invalid="ignore"):  # what a mask hides may be no number
            return None if array is None else np.asarray(array).astype(np.int64)

    arrays = [
        tuple(map(real, value)) if isinstance(value, tuple) else (whole if name in labels else real)(value)
        for name, value in call.arrays.items()
    ]
    options = dict(call.options)
    for name, kind in call.record.options.items():
        if isinstance(kind, Array) and options[name] is not None and not isinstance(options[name], str):
            options[name] = np.asarray(options[name]) if kind.boolean else real(options[name])
        elif isinstance(kind, Partial) and options[name] is not None:
            options[name] = tuple(map(real, options[name]))
        elif isinstance(kind, Levels) and options[name] is not None:
            options[name] = tuple((real(nodes), np.asarray(flags)) for nodes, flags in options[name])
    return arrays, options


def tuple_like(like: tuple[Any, ...], parts: Iterable[Any]) -> tuple[Any, ...]:
    """Return a tuple of the same kind, named or plain.

    >>> tuple_like((1, 2), [3, 4])
    (3, 4)
    """
    return type(like)(*parts) if hasattr(like, "_fields") else tuple(parts)


def returned(result: Any, call: Bound) -> Any:
    """Return the results of the bare formula as NumPy arrays of the dtype that the contract promises.

    Counts and positions stay whole numbers, and a result that does not exist stays None.
    """
    if result is None:
        return None
    if isinstance(result, tuple):
        return tuple_like(result, (returned(part, call) for part in result))
    array = np.asarray(result)
    return array if array.dtype.kind in "biu" else array.astype(_numpy_dtype(call), copy=False)


def _numpy_dtype(call: Bound) -> np.dtype[Any]:
    if call.result_dtype != "bfloat16":
        return np.dtype(call.result_dtype)
    parts = [part for value in call.arrays.values() for part in (value if isinstance(value, tuple) else (value,))]
    return next(part.dtype for part in parts if dtype_name(part) == "bfloat16")
