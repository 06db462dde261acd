"""The engines: what they are called, where their kernels stand, what a machine lacks to run them."""

import contextlib
import functools
import importlib
import importlib.util
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from attlas_ref.records import ENGINES, Record

from .threads import undisturbed


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
    """Says in one line the one thing that this machine lacks, or None; never fails."""
    device: Callable[[], str | None]
    """Names what it computes on, where nothing is missing."""
    distributions: tuple[str, ...] = ()
    """The packages whose versions matter to it."""

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
            return functools.partial(getattr(_module(f"attlas.composites.{record.family}"), record.name), Place(self))
        return getattr(_module(f"{self.package}.{record.family}"), record.name)


@functools.cache
def _module(name: str) -> ModuleType:
    return undisturbed(importlib.import_module, name)


@functools.cache
def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


@dataclass(frozen=True)
class Place:
    """Where a composition runs: the engine's own functions, and its arrays' namespace."""

    engine: Engine

    @property
    def xp(self) -> Any:
        """The array namespace that compositions of this engine use."""
        from . import arrays

        return arrays.namespace(arrays.kind_of_compositions(self.engine.arrays).name)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        from attlas_ref.records import find

        from . import arrays

        function, kind = self.engine.function(find(name)), arrays.kind_of_compositions(self.engine.arrays)
        if kind.name == self.engine.arrays:
            return function
        # What the engine returns is handed on as arrays on which a composition can compute.
        return lambda *args, **options: _each(kind.take, function(*args, **options))

    def part(self, family: str, name: str, otherwise: Callable[..., Any]) -> Callable[..., Any]:
        """Return the engine's own function that is no formulation, or if it has none, the same in array functions."""
        module = f"{self.engine.package}.{family}"
        own: Callable[..., Any] = getattr(_module(module), name, otherwise) if _is_there(module) else otherwise
        return own


def _each(take: Callable[[Any, None], Any], result: Any) -> Any:
    """Take every array of a result."""
    if isinstance(result, tuple):
        return type(result)(*(_each(take, part) for part in result))
    return take(result, None)


def simulated() -> bool:
    """Whether Numba's CUDA simulator stands in for a GPU in this process."""
    return os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")


@functools.cache
def _numba_missing() -> str | None:
    return None if importlib.util.find_spec("numba") else "the package numba (pip install attlas)"


@functools.cache
def _numba_cuda_missing() -> str | None:
    if missing := _numba_missing():
        return missing
    if simulated():
        return None
    if not importlib.util.find_spec("numba_cuda"):
        return "the package numba-cuda (pip install 'attlas[cuda13]' or 'attlas[cuda12]')"
    return _lacking_gpu(_numba_cuda_device)


@functools.cache
def _cupy_missing() -> str | None:
    if not importlib.util.find_spec("cupy"):
        return "the package cupy (pip install 'attlas[cuda13]' or 'attlas[cuda12]')"
    return _lacking_gpu(_cupy_device)


def _lacking_gpu(device: Callable[[], str | None]) -> str | None:
    """Say what keeps a GPU library from its GPU, in one line.

    Half an installation fails in many ways: a missing driver, a library of CUDA that cannot be loaded, a driver that
    is too old. Asking must not fail with it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return None if device() else "a CUDA GPU with its driver"
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"a working CUDA GPU with its driver ({reason[:120]})"


def _numba_cuda_device() -> str | None:
    from .numba_cuda.target import cuda

    if not cuda.is_available():
        return None
    name = cuda.get_current_device().name
    return name.decode() if isinstance(name, bytes) else str(name)


def _cupy_device() -> str | None:
    import cupy

    if not cupy.cuda.runtime.getDeviceCount():
        return None
    name: bytes = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())["name"]
    return name.decode()


def _threads() -> str:
    from .threads import get_num_threads

    count = get_num_threads()
    return f"CPU, {count} thread{'s' if count > 1 else ''}"


def _simulator_or_gpu() -> str | None:
    return "Numba's CUDA simulator (slow; for tests)" if simulated() else _numba_cuda_device()


TABLE = {
    engine.name: engine
    for engine in (
        Engine("numba", "attlas.numba_cpu", "numpy", _numba_missing, _threads, ("numba", "llvmlite")),
        Engine(
            "numba-cuda", "attlas.numba_cuda", "cuda", _numba_cuda_missing, _simulator_or_gpu, ("numba-cuda", "numba")
        ),
        Engine(
            "cupy", "attlas.cupy_gpu", "cupy", _cupy_missing, _cupy_device, ("cupy", "cupy-cuda13x", "cupy-cuda12x")
        ),
    )
}
assert tuple(TABLE) == ENGINES


def cupy_on_numpy() -> Engine:
    """Return the engine "cupy" on NumPy arrays: the same array programs, checked where there is no GPU."""
    return Engine("cupy", TABLE["cupy"].package, "numpy", lambda: None, _threads, ("numpy",))


@dataclass(frozen=True)
class Diagnosis:
    """What `attlas doctor` says about one engine."""

    engine: str
    missing: str | None
    """The one thing that this machine lacks; None if it runs."""
    device: str | None
    """What it computes on; None if it does not run."""
    versions: dict[str, str]
    """Of the packages that it needs, as far as they are installed."""


def diagnose() -> tuple[Diagnosis, ...]:
    """Look at every engine; this may start a GPU's driver, and fails on no machine.

    >>> [diagnosis.engine for diagnosis in diagnose()]
    ['numba', 'numba-cuda', 'cupy']
    """
    return tuple(
        Diagnosis(
            engine.name,
            lacking := engine.missing(),
            None if lacking else engine.device(),
            dict(_versions(engine.distributions)),
        )
        for engine in TABLE.values()
    )


def _versions(distributions: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    from importlib.metadata import PackageNotFoundError, version

    for name in distributions:
        with contextlib.suppress(PackageNotFoundError):
            yield name, version(name)


def engine_named(name: str, function: str) -> Engine:
    """Return an engine that this machine can run.

    Raises
    ------
    TypeError, ValueError
        If there is no engine of that name; the message begins with the function that was called.
    RuntimeError
        If the machine lacks something; the message says what.
    """
    if not isinstance(name, str):
        raise TypeError(f"{function}: backend is a {type(name).__name__}; it needs one of {tuple(TABLE)} or None")
    if name not in TABLE:
        raise ValueError(f"{function}: backend is {name!r}; it needs one of {tuple(TABLE)} or None")
    engine = TABLE[name]
    if lacking := engine.missing():
        raise RuntimeError(f"{function}: backend {name!r} cannot run on this machine: it lacks {lacking}")
    return engine
