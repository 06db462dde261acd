"""Launches of kernels with a thread for each entry."""

from typing import Any

import numpy as np

from ..blocks import default_block
from ..target import cuda, device_using_cuda, launch


def over_entries(compiled: Any, dtype: np.dtype[Any], size: int, *arguments: Any) -> None:
    """Launch a kernel with a thread for each of `size` entries, whose number it is told first."""
    block = default_block(dtype)
    launch(compiled, -(-size // (block.across * block.down)), block.threads, size, *arguments)


@device_using_cuda
def own_entry(first):
    """The number of a thread's entry in such a launch; there may be threads beyond the last one."""
    threads = cuda.blockDim.x * cuda.blockDim.y
    return (first + cuda.blockIdx.x) * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
