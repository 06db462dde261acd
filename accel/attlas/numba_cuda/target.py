"""The one door to Numba's CUDA target: compile, launch, allocate.

Numba's simulator stands in for a GPU where `NUMBA_ENABLE_CUDASIM=1`; it runs every thread of a kernel as a Python
thread. What differs between the two is decided here and nowhere else.
"""

import contextlib
import math
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from ..engines import simulated

LARGEST_GRID = 2**31 - 1
"""How many blocks one launch may have along x; a longer list of blocks is launched in pieces."""
QUIET_GRID = 1 if simulated() else 128
"""Below this many blocks Numba warns that the GPU is not full; idle blocks are cheaper than a warning to every user."""

_one_at_a_time = threading.Lock()


def device(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that kernels call and that does not use `cuda` itself."""
    # The simulator's own wrapper swaps module globals at every call, which only functions that use `cuda` need.
    return function if simulated() else cuda.jit(device=True, forceinline=True)(function)


def device_using_cuda(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that kernels call and that uses `cuda`."""
    return cuda.jit(device=True)(function) if simulated() else cuda.jit(device=True, forceinline=True)(function)


def kernel(function: Callable[..., None]) -> Any:
    """Make a kernel of a function; the function stays reachable as `py_func`."""
    return cuda.jit(function)


def launch(compiled: Any, blocks: int, threads: tuple[int, int], *arguments: Any) -> None:
    """Run a kernel over a list of blocks; it is told the first block of this launch and how many there are in all."""
    for first in range(0, blocks, LARGEST_GRID):
        grid = max(min(blocks - first, LARGEST_GRID), QUIET_GRID)
        with _simulation() if simulated() else contextlib.nullcontext():
            compiled[grid, threads](first, blocks, *arguments)


@contextlib.contextmanager
def _simulation() -> Iterator[None]:
    """Prepare this process for a simulated launch: one at a time, quiet and quick."""
    with _one_at_a_time, warnings.catch_warnings():
        # NumPy's scalars warn about infinities that are legal here.
        warnings.simplefilter("ignore", RuntimeWarning)
        # The simulator waits at barriers by polling: ten times longer if Python changes threads as rarely as usual.
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-4)
        try:
            yield
        finally:
            sys.setswitchinterval(interval)


def _agree_on_shared_arrays() -> None:
    """Let all threads of a simulated block get the same shared arrays.

    The simulator looks an array up by the line that asks for it and makes it if it is not there. Two threads that ask
    at the same moment would get two arrays.
    """
    from numba.cuda.simulator.kernelapi import FakeCUDAShared

    lock = threading.Lock()

    def array(self: Any, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        frame = sys._getframe(1)
        place = frame.f_code.co_filename, frame.f_lineno
        with lock:
            if place not in self._allocations:
                self._allocations[place] = np.empty(shape, dtype)
            found: NDArray[Any] = self._allocations[place]
            return found

    FakeCUDAShared.array = array


if simulated():
    _agree_on_shared_arrays()


def memory_of(pointer: int, extent: int, dtype: np.dtype[Any], stream: Any) -> Any:
    """Return `extent` elements of GPU memory that begin at an address, as one axis of a Numba array."""
    return cuda.as_cuda_array(_Memory(pointer, extent, dtype, stream))


class _Memory:
    """Memory of another library, described by the CUDA array interface."""

    def __init__(self, pointer: int, extent: int, dtype: np.dtype[Any], stream: Any) -> None:
        self.__cuda_array_interface__ = {
            "shape": (extent,),
            "typestr": dtype.str,
            "data": (pointer, False),
            "strides": None,
            "stream": stream,
            "version": 3,
        }


def upload(array: NDArray[Any]) -> Any:
    """Copy a NumPy array to where kernels read."""
    return cuda.to_device(array)


def allocate(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Return memory for a result of the given shape, as one axis; at least one element, so that it has an address."""
    return cuda.device_array(max(1, math.prod(shape)), dtype)


def shaped(memory: Any, shape: tuple[int, ...]) -> Any:
    """Return an allocated result in its shape: a Numba device array, or a NumPy array in the simulator."""
    size = math.prod(shape)
    if simulated():
        return memory.copy_to_host()[:size].reshape(shape)
    # Whoever reads the result may do so on another stream, which would not wait for ours.
    cuda.default_stream().synchronize()
    return memory.reshape(shape) if size else cuda.device_array(shape, memory.dtype)
