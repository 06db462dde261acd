"""Every kernel of the engine with the types it is called with, so that all can be compiled where there is no GPU."""

import contextlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import types
from numba.np.numpy_support import from_dtype

from . import rules
from .blocks import ON_GPU
from .pairs import SCORE_GRADIENTS, WEIGHTS, build_gradient, build_pairs
from .target import cuda
from .tile import build_forward, build_statistics

RULES = (rules.softmax, rules.softcapped, rules.distance, rules.sigmoid, rules.relu, rules.squared_relu)
"""Every rule; each has its own kernels of the output and of the weights. Gradients and energies know the softmax."""

REAL_VECTORS = ("query", "key", "value", "grad", "maximum", "total", "mean", "output", "carried_rows")
REAL_NUMBERS = ("scale", "first_number", "second_number", "factor")


@dataclass(frozen=True)
class Lane:
    """One kernel for one precision."""

    name: str
    dtype: str
    kernel: Any
    bias: str | None = None
    """The dtype of the bias, which kernels read as it is; the precision of the kernel if not given."""

    @property
    def signature(self) -> tuple[Any, ...]:
        """The types of the kernel's parameters, which go by their names; what is not listed is an integer."""
        real = from_dtype(np.dtype(self.dtype))
        named = {
            **dict.fromkeys(REAL_VECTORS, types.Array(real, 1, "C")),
            **dict.fromkeys(REAL_NUMBERS, real),
            "bias": types.Array(from_dtype(np.dtype(self.bias or self.dtype)), 1, "C"),
            "mask": types.Array(types.boolean, 1, "C"),
            "layout": types.Array(types.int64, 2, "C"),
            "members": types.Array(types.int64, 1, "C"),
        }
        return tuple(named.get(name, types.int64) for name in inspect.signature(self.kernel.py_func).parameters)

    def ptx(self, capability: tuple[int, int]) -> str:
        """Compile for a compute capability; this needs no GPU."""
        with _pretended_device(capability):
            code, _ = cuda.compile(
                self.kernel.py_func, self.signature, device=False, abi="numba", output="ptx", cc=capability
            )
        return code


@contextlib.contextmanager
def _pretended_device(capability: tuple[int, int]) -> Iterator[None]:
    """Answer Numba's question for the current device, which it asks when a kernel calls a device function."""
    from numba.cuda import dispatcher

    before = dispatcher.get_current_device
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=capability)
    try:
        yield
    finally:
        dispatcher.get_current_device = before


def kernels() -> Iterator[Lane]:
    """Enumerate the kernels of both precisions, with the blocks that a GPU uses."""
    for dtype, block in ON_GPU.items():
        real: Any = np.dtype(dtype).type
        for rule in RULES:
            yield Lane(f"forward_{rule.__name__}", dtype, build_forward(block, real, rule))
            yield Lane(f"weights_{rule.__name__}", dtype, build_pairs(block, real, rule, WEIGHTS))
        softmax = rules.softmax
        yield Lane("statistics", dtype, build_statistics(block, real, softmax))
        yield Lane("grad_query", dtype, build_gradient(block, real, softmax, SCORE_GRADIENTS, by_query=True))
        yield Lane("grad_key", dtype, build_gradient(block, real, softmax, SCORE_GRADIENTS, by_query=False))
        yield Lane("grad_value", dtype, build_gradient(block, real, softmax, WEIGHTS, by_query=False))
        yield Lane("grad_bias", dtype, build_pairs(block, real, softmax, SCORE_GRADIENTS))
