"""Arrays of other libraries: which kind they are, and how they reach an engine and come back.

Two directions: an engine *takes* any array as its own kind, and a result is *given* back as the kind that came.
Within one memory both are zero-copy.
"""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from attlas_ref.contract import Bound


class Kind:
    """What is to be known about one array library on one kind of memory."""

    name: str
    engine: str
    """The engine on which arrays of this kind run by default."""

    def owns(self, array: Any) -> bool:
        """Whether an array is of this kind."""
        raise NotImplementedError

    def take(self, array: Any, dtype: str | None) -> Any:
        """Return any array as this kind, in the given dtype or its own."""
        raise NotImplementedError

    def give(self, result: Any, native: "Kind", dtype: str) -> Any:
        """Return an engine's result, which is of the kind `native`, as this kind and in the given dtype."""
        raise NotImplementedError


class NumPyArrays(Kind):
    """Arrays in the memory of the host."""

    name = "numpy"
    engine = "numba"

    def owns(self, array: Any) -> bool:
        return isinstance(array, (np.ndarray, np.generic))

    def take(self, array: Any, dtype: str | None) -> Any:
        array = np.asarray(array)
        return array if dtype is None else array.astype(dtype, copy=False)

    def give(self, result: Any, native: Kind, dtype: str) -> Any:
        with np.errstate(over="ignore"):  # a float32 that float16 cannot hold becomes infinite, as the contract says
            return np.asarray(result).astype(dtype, copy=False)


KINDS: dict[str, Kind] = {kind.name: kind for kind in (NumPyArrays(),)}


def kind_of(array: Any) -> Kind | None:
    """Return the kind of an array, or None if no kind owns it."""
    return next((kind for kind in KINDS.values() if kind.owns(array)), None)


def kind_of_call(function: str, call: Bound) -> Kind:
    """Return the one kind of all arrays of a call."""
    found: dict[str, str] = {}
    for name, array in _arrays_of(call):
        kind = kind_of(array)
        if kind is None:
            raise TypeError(f"{function}: {name} is a {type(array).__name__}; it needs an array of {', '.join(KINDS)}")
        found.setdefault(kind.name, name)
    if len(found) > 1:
        came = " and ".join(f"{name} is a {kind} array" for kind, name in found.items())
        raise TypeError(f"{function}: {came}; all arrays need to be of one kind")
    return KINDS[next(iter(found))]


def _arrays_of(call: Bound) -> Iterator[tuple[str, Any]]:
    for name, value in {**call.arrays, **call.options}.items():
        for part in value if isinstance(value, tuple) else (value,):
            if hasattr(part, "shape"):
                yield name, part


@functools.cache
def namespace(kind: str) -> Any:
    """Return the module whose functions work on arrays of a kind, under the names of the array API standard."""
    import importlib

    return importlib.import_module({"numpy": "array_api_compat.numpy", "cupy": "array_api_compat.cupy"}[kind])
