"""The host's side of the engine `numba-cuda` without a GPU: what it would launch, of which kernel, on which grid."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from numba.cuda.dispatcher import CUDADispatcher

from attlas.engines import Engine
from attlas.numba_cuda import target

ENGINE = Engine("numba-cuda", "attlas.numba_cuda", "numpy", lambda: None, lambda: None)
"""It takes NumPy's arrays, which a call on a GPU would upload."""


class Launch(NamedTuple):
    """One launch as the driver would get it."""

    kernel: Any
    grid: Any
    threads: Any
    first: int
    """The number of its first block."""
    blocks: int
    """How many there are in all launches together."""


class Memory(np.ndarray):
    """Zeros in place of memory on a GPU."""

    def copy_to_host(self) -> Any:
        return np.asarray(self)


def _zeros(shape: Any, dtype: Any) -> Any:
    """One zero that stands for all: results of any size take no memory."""
    return np.broadcast_to(np.zeros(1, dtype), shape).view(Memory)


@contextmanager
def recorded() -> Iterator[list[Launch]]:
    """Write launches down instead of making them; every result is zeros."""
    found: list[Launch] = []

    def configured(self: Any, configuration: Any) -> Any:
        grid, threads = configuration
        return lambda first, blocks, *arguments: found.append(Launch(self, grid, threads, first, blocks))

    driver = SimpleNamespace(
        jit=target.cuda.jit,
        to_device=lambda array: np.array(array).view(Memory),
        device_array=_zeros,
        default_stream=lambda: SimpleNamespace(synchronize=lambda: None),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, "cuda", driver)
        patch.setattr(CUDADispatcher, "__getitem__", configured)
        yield found


def recipe(function: Any) -> Any:
    """What a compiled function is made of: its code and what it closes over.

    A factory may be asked for the same kernel in two ways, which makes two objects of it.
    """
    function = getattr(function, "py_func", function)
    if not isinstance(function, FunctionType):
        return repr(function)
    return function.__code__, tuple(recipe(cell.cell_contents) for cell in function.__closure__ or ())
