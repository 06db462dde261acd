"""Arrays that can only be reached as one on a GPU can, for kernels in the simulator."""

import ctypes
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from attlas.numba_cuda import operands, target
from attlas_ref.contract.results import flat
from attlas_ref.records import find


class Described:
    """An array of which only address, shape and strides are known."""

    def __init__(self, array: Any) -> None:
        self.array, self.shape = array, array.shape
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.__array_interface__["data"][0], True),
            "strides": None if array.flags.c_contiguous else array.strides,
            "version": 3,
        }


def described(value: Any) -> Any:
    """Describe arrays, those of tuples too; other values stay."""
    if isinstance(value, tuple):
        return tuple(map(described, value))
    return Described(value) if isinstance(value, np.ndarray) else value


def memory_at(pointer: int, extent: int, dtype: Any, stream: Any) -> Any:
    """Read memory by its address, as a GPU does."""
    raw = (ctypes.c_char * (extent * dtype.itemsize)).from_address(pointer)
    return target.upload(np.frombuffer(raw, dtype))


def assert_views_are_read(
    name: str, arrays: Sequence[Any], given: Mapping[str, Any], expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check that a call on described arrays gives the same bits as one on NumPy's."""
    record = find(name)
    parameters = record.python_signature.parameters.values()
    options = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY} | dict(given)
    monkeypatch.setattr(operands, "memory_of", memory_at)
    family = importlib.import_module(f"attlas.numba_cuda.{record.family}")
    found = getattr(family, name)(*map(described, arrays), **{key: described(x) for key, x in options.items()})
    for one, other in zip(flat(found), flat(expected), strict=True):
        np.testing.assert_array_equal(one, other)
