"""The engines: what they are called, where their kernels stand, what a machine lacks to run them."""

import functools
import importlib
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from attlas_ref.records import ENGINES, Record


@dataclass(frozen=True)
class Engine:
    """One way to run the kernels.

    An engine is a package with a module per family; a formulation is the function of its name in there. It takes and
    returns arrays of the engine's own kind in the compute dtype, every option given, and has nothing to check.
    """

    name: str
    package: str
    arrays: str
    """The kind of arrays it computes on: a name in `attlas.arrays`."""
    missing: Callable[[], str | None]
    """Says the one thing that this machine lacks, or None."""

    def function(self, record: Record) -> Callable[..., Any]:
        """Return the engine's own function for a formulation.

        Raises
        ------
        NotImplementedError
            If the record says that this engine does not compute it.
        """
        if self.name not in record.engines:
            able = ", ".join(record.engines) or "none"
            raise NotImplementedError(f"{record.name}: the engine {self.name} does not compute it (engines: {able})")
        if record.kind == "C":
            composite = getattr(importlib.import_module(f"attlas.composites.{record.family}"), record.name)
            return functools.partial(composite, Place(self))
        return getattr(importlib.import_module(f"{self.package}.{record.family}"), record.name)


@dataclass(frozen=True)
class Place:
    """Where a composition runs: the engine's own functions, and its arrays' namespace."""

    engine: Engine

    @property
    def xp(self) -> Any:
        """The array namespace of the engine's arrays."""
        from . import arrays

        return arrays.namespace(self.engine.arrays)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        from attlas_ref.records import find

        return self.engine.function(find(name))


def simulated() -> bool:
    """Whether Numba's CUDA simulator stands in for a GPU in this process."""
    return os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")


def _numba_missing() -> str | None:
    return None if importlib.util.find_spec("numba") else "the package numba (pip install attlas)"


@functools.cache
def _numba_cuda_missing() -> str | None:
    if simulated():
        return None
    if not importlib.util.find_spec("numba_cuda"):
        return "the package numba-cuda (pip install 'attlas[cuda13]' or 'attlas[cuda12]')"
    from .numba_cuda.target import cuda

    return None if cuda.is_available() else "a CUDA GPU with its driver"


@functools.cache
def _cupy_missing() -> str | None:
    if not importlib.util.find_spec("cupy"):
        return "the package cupy (pip install 'attlas[cuda13]' or 'attlas[cuda12]')"
    import cupy

    try:
        return None if cupy.cuda.runtime.getDeviceCount() else "a CUDA GPU"
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"a CUDA GPU with its driver ({error})"


TABLE = {
    engine.name: engine
    for engine in (
        Engine("numba", "attlas.numba_cpu", "numpy", _numba_missing),
        Engine("numba-cuda", "attlas.numba_cuda", "cuda", _numba_cuda_missing),
        Engine("cupy", "attlas.cupy_gpu", "cupy", _cupy_missing),
    )
}
assert tuple(TABLE) == ENGINES


def engine_named(name: str) -> Engine:
    """Return an engine that this machine can run.

    Raises
    ------
    ValueError
        If there is no engine of that name.
    RuntimeError
        If the machine lacks something; the message says what.
    """
    if name not in TABLE:
        raise ValueError(f"backend is {name!r}; it needs one of {tuple(TABLE)} or None")
    engine = TABLE[name]
    if lacking := engine.missing():
        raise RuntimeError(f"backend {name!r} cannot run on this machine: it lacks {lacking}")
    return engine
