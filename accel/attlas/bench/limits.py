"""The ceilings of this machine: how fast it multiplies matrices and copies memory.

Both are measured in the run that they are compared with, with the same threads, because a datasheet knows nothing of
this machine's clock, its neighbors or its library.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..threads import get_num_threads
from .machine import installed


@dataclass(frozen=True)
class Limits:
    """Measured ceilings."""

    dtype: str
    operations_per_second: float
    """Of a square matrix product."""
    product_by: str
    """The library that multiplied fastest."""
    bytes_per_second: float
    """Of a copy, bytes read and bytes written both counted."""

    def higher(self, other: "Limits") -> "Limits":
        """The higher of two measurements, ceiling by ceiling: a disturbed one can only be too low."""
        faster = max(self, other, key=lambda limits: limits.operations_per_second)
        return replace(faster, bytes_per_second=max(self.bytes_per_second, other.bytes_per_second))


def measure_limits(dtype: str = "float32", side: int = 2048, copied: int = 2**28, repeats: int = 5) -> Limits:
    """Measure both ceilings: the best of several repetitions, since everything else on a machine only slows it down.

    Parameters
    ----------
    dtype : str, default "float32"
        Of the matrix product; half precision is multiplied in float32, as the engines do.
    side : int, default 2048
        Rows and columns of the matrices.
    copied : int, default 2**28
        Bytes to copy.
    repeats : int, default 5
        How often each is tried.
    """
    compute = "float64" if dtype == "float64" else "float32"
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((side, side)).astype(compute) for _ in range(2))
    seconds = {"numpy": _best(lambda: left @ right, repeats)}
    if installed("torch"):
        import torch

        torch.set_num_threads(get_num_threads())
        a, b = torch.from_numpy(left), torch.from_numpy(right)
        seconds["torch"] = _best(lambda: a @ b, repeats)
    fastest = min(seconds, key=seconds.__getitem__)
    return Limits(dtype, 2 * side**3 / seconds[fastest], fastest, _copy_rate(copied, repeats))


def _copy_rate(size: int, repeats: int) -> float:
    """Bytes read and written per second, by as many threads as the engines use (a copy releases the interpreter)."""
    source = np.ones(size // 8)
    target = np.zeros_like(source)
    workers = get_num_threads()
    pieces = list(zip(np.array_split(target, workers), np.array_split(source, workers), strict=True))
    with ThreadPoolExecutor(workers) as pool:
        best = _best(lambda: list(pool.map(lambda piece: np.copyto(*piece), pieces)), repeats)
    return 2 * source.nbytes / best


def _best(call: Any, repeats: int) -> float:
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
