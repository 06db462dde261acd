"""Arrays of other libraries: which kind they are, and how they reach an engine and come back.

Every kind can *export* an array of its own in plain form (a NumPy array where the memory is the host's, else whatever
its library has on the GPU) and *receive* a plain array. An engine takes what the caller's kind exports, the caller's
kind receives what the engine returns; within one memory neither copies. A library is looked at only if the caller has
imported it already: nobody can hold an array of a library that is not loaded.
"""

import functools
import importlib
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attlas_ref.contract import Array, Bound, Indices, Labels, Levels
from attlas_ref.contract.binding import dtype_name

from .engines import simulated


class Kind:
    """One array library on one kind of memory."""

    name: str
    engine: str
    """The engine on which arrays of this kind run by default."""
    label: str
    """What messages call it."""

    def owns(self, array: Any) -> bool:
        """Whether an array is of this kind."""
        raise NotImplementedError

    def has(self, array: Any, dtype: str | None) -> bool:
        """Whether an array is surely of this kind and dtype already, so that there is nothing to do: the usual call."""
        return False

    def device(self, array: Any) -> Any:
        """Return what names the device of an array, None on the host."""
        return None

    def refusal(self, array: Any, call: Bound, name: str) -> str | None:
        """Say why an argument's array cannot be taken and what to hand over instead; None if nothing is wrong."""
        return None

    def export(self, array: Any, dtype: str | None) -> Any:
        """Return an array of this kind in plain form, in the given dtype or its own.

        bfloat16 always becomes float32, which holds it exactly and which every library has.
        """
        raise NotImplementedError

    def download(self, array: Any) -> NDArray[Any]:
        """Copy an exported array of this kind to the host."""
        return array

    def receive(self, array: Any, dtype: str | None = None, device: Any = None) -> Any:
        """Return an exported array of any kind as this kind."""
        raise NotImplementedError

    def take(self, array: Any, dtype: str | None) -> Any:
        """Return an array of any kind as this kind."""
        return array if self.has(array, dtype) else self.receive(owner(array).export(array, dtype))

    def on(self, device: Any) -> AbstractContextManager[Any]:
        """Make a device the one that this kind computes on."""
        return nullcontext()


class NumPyArrays(Kind):
    """Arrays in the memory of the host, `ml_dtypes.bfloat16` included."""

    name = "numpy"
    label = "NumPy"
    engine = "numba"

    def owns(self, array: Any) -> bool:
        return isinstance(array, (np.ndarray, np.generic))

    def has(self, array: Any, dtype: str | None) -> bool:
        return type(array) is np.ndarray and array.dtype.isnative and dtype_name(array) == dtype

    def export(self, array: Any, dtype: str | None) -> Any:
        array = np.asarray(array)
        if dtype is None:
            if dtype_name(array) == "bfloat16":
                dtype = "float32"
            elif array.dtype.isnative:
                return array
            else:
                dtype = array.dtype.newbyteorder("=").str
        return array.astype(dtype, copy=False)

    def receive(self, array: Any, dtype: str | None = None, device: Any = None) -> Any:
        if type(array) is not np.ndarray:
            array = owner(array).download(array)
        return array if dtype is None else array.astype(_numpy_dtype(dtype), copy=False)


class CuPyArrays(Kind):
    """CuPy arrays."""

    name = engine = "cupy"
    label = "CuPy"

    def owns(self, array: Any) -> bool:
        return _is_instance(array, "cupy", "ndarray")

    def device(self, array: Any) -> Any:
        return array.device.id

    def export(self, array: Any, dtype: str | None) -> Any:
        return array if dtype is None else array.astype(dtype, copy=False)

    def download(self, array: Any) -> NDArray[Any]:
        host: NDArray[Any] = array.get()
        return host

    def receive(self, array: Any, dtype: str | None = None, device: Any = None) -> Any:
        import cupy

        with self.on(device):
            # DLPack lets both libraries agree on the order of their work; the host has no need of it.
            host = isinstance(array, np.ndarray)
            array = cupy.from_dlpack(array) if hasattr(array, "__dlpack__") and not host else cupy.asarray(array)
            return self.export(array, dtype)

    def on(self, device: Any) -> AbstractContextManager[Any]:
        return nullcontext() if device is None else sys.modules["cupy"].cuda.Device(device)


class CudaArrays(Kind):
    """Numba's device arrays and whatever else has `__cuda_array_interface__`; results are Numba's.

    There is nothing here that converts a dtype, so such arrays come in the precision of the arithmetic. Numba's
    simulator computes on NumPy arrays.
    """

    name = "cuda"
    label = "CUDA"
    engine = "numba-cuda"

    def owns(self, array: Any) -> bool:
        return hasattr(array, "__cuda_array_interface__") or hasattr(array, "copy_to_host")

    def refusal(self, array: Any, call: Bound, name: str) -> str | None:
        dtype = needed_dtype(call, name, array)
        if dtype in (None, dtype_name(array)):
            return None
        return f"is a bare GPU array of {dtype_name(array)}; it needs {dtype}, or an array of CuPy, PyTorch or JAX"

    def export(self, array: Any, dtype: str | None) -> Any:
        return array if hasattr(array, "copy_to_host") else _numba_cuda().as_cuda_array(array)

    def download(self, array: Any) -> NDArray[Any]:
        host: NDArray[Any] = array.copy_to_host()
        return host

    def receive(self, array: Any, dtype: str | None = None, device: Any = None) -> Any:
        # What an engine is handed may stay on the host: it uploads what a broadcast array holds, not its full shape.
        giving = dtype is not None
        if simulated():
            array = owner(array).download(array)
        if isinstance(array, np.ndarray):
            return _numba_cuda().to_device(array) if giving else array
        return self.export(array, dtype)


class TorchArrays(Kind):
    """PyTorch tensors, on the CPU or on a CUDA GPU."""

    def __init__(self, memory: str, engine: str) -> None:
        self.name, self.label, self.engine, self.memory = f"torch-{memory}", "PyTorch", engine, memory

    def owns(self, array: Any) -> bool:
        return _is_instance(array, "torch", "Tensor") and array.device.type == self.memory

    def device(self, array: Any) -> Any:
        return array.device

    def refusal(self, array: Any, call: Bound, name: str) -> str | None:
        import torch

        if array.layout is not torch.strided:
            return f"is a tensor of layout {array.layout}; it needs a dense one: hand over its to_dense()"
        if array.requires_grad and torch.is_grad_enabled():
            vjp = call.record.vjp
            gradients = f"; gradients come from {vjp}" if vjp else ""
            return f"requires a gradient, which is not recorded here; hand over its detach(){gradients}"
        return None

    def export(self, array: Any, dtype: str | None) -> Any:
        import torch

        if dtype is None and array.dtype == torch.bfloat16:
            dtype = "float32"
        array = array.detach().resolve_conj().resolve_neg()
        array = array if dtype is None else array.to(getattr(torch, dtype))
        return array.numpy() if self.memory == "cpu" else array

    def download(self, array: Any) -> NDArray[Any]:
        host: NDArray[Any] = array.cpu().numpy()
        return host

    def receive(self, array: Any, dtype: str | None = None, device: Any = None) -> Any:
        import torch

        if self.memory == "cpu":
            array = owner(array).download(array)
        if isinstance(array, np.ndarray):
            tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
        elif hasattr(array, "__dlpack__"):
            tensor = torch.from_dlpack(array)
        else:
            tensor = torch.as_tensor(array, device=device)
        return tensor.to(device=device, dtype=None if dtype is None else getattr(torch, dtype))


class JaxArrays(Kind):
    """JAX arrays, on the CPU or on a GPU.

    JAX holds float64 only where `jax_enable_x64` is set; without it what the contract promises in float64 (the result
    of a call on integers) is computed so and comes back rounded to float32.
    """

    def __init__(self, memory: str, engine: str) -> None:
        self.name, self.label, self.engine, self.memory = f"jax-{memory}", "JAX", engine, memory

    def owns(self, array: Any) -> bool:
        if not _is_instance(array, "jax", "Array"):
            return False
        return _is_traced(array) or next(iter(array.devices())).platform == self.memory

    def device(self, array: Any) -> Any:
        return next(iter(array.devices()))

    def refusal(self, array: Any, call: Bound, name: str) -> str | None:
        if _is_traced(array):
            return "is traced by a JAX transformation, which sees no values; call outside of jit, grad and vmap"
        if len(array.devices()) > 1:
            return f"is spread over {len(array.devices())} devices; it needs to be on one"
        return None

    def export(self, array: Any, dtype: str | None) -> Any:
        if self.memory == "cpu":
            return KINDS["numpy"].export(np.asarray(array), dtype)
        return array if dtype is None else array.astype(dtype)

    def download(self, array: Any) -> NDArray[Any]:
        return np.asarray(array)

    def receive(self, array: Any, dtype: str | None = None, device: Any = None) -> Any:
        import jax

        if self.memory == "cpu":
            array = owner(array).download(array)
        if isinstance(array, np.ndarray):
            return jax.device_put(KINDS["numpy"].receive(array, dtype), device)
        array = jax.dlpack.from_dlpack(array if hasattr(array, "__dlpack__") else KINDS["cupy"].receive(array))
        return array if dtype is None else array.astype(dtype)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        NumPyArrays(),
        CuPyArrays(),
        TorchArrays("cpu", "numba"),
        TorchArrays("cuda", "cupy"),
        JaxArrays("cpu", "numba"),
        JaxArrays("gpu", "cupy"),
        CudaArrays(),  # last: arrays of the others have its interface too
    )
}


def kind_of(array: Any) -> Kind | None:
    """Return the kind of an array, or None if no kind owns it."""
    if type(array) is np.ndarray:  # the usual one
        return KINDS["numpy"]
    for kind in KINDS.values():
        if kind.owns(array):
            return kind
    return None


def owner(array: Any) -> Kind:
    """Return the kind of an array that has one."""
    kind = kind_of(array)
    assert kind is not None, type(array)
    return kind


def kind_of_call(call: Bound) -> tuple[Kind, Any]:
    """Return the one kind of all arrays of a call, and their device.

    Raises
    ------
    TypeError
        Naming the argument that is of no kind, that cannot be taken, or that differs from the rest.
    """
    function, found = call.record.name, dict[tuple[Kind, Any], str]()
    for name, array in _arrays_of(call):
        kind = kind_of(array)
        if kind is None:
            where = f" on {array.device}" if hasattr(array, "device") else ""
            raise TypeError(
                f"{function}: {name} is a {type(array).__name__}{where}; it needs an array of NumPy, CuPy, PyTorch or "
                f"JAX on a CPU or a CUDA GPU"
            )
        if refusal := kind.refusal(array, call, name):
            raise TypeError(f"{function}: {name} {refusal}")
        found.setdefault((kind, kind.device(array)), name)
    if len(found) > 1:
        came = " and ".join(
            f"{name} is a {kind.label} array{'' if device is None else f' on {device}'}"
            for (kind, device), name in list(found.items())[:2]
        )
        raise TypeError(f"{function}: {came}; all arrays need to be of one kind and on one device")
    return next(iter(found))


def _arrays_of(call: Bound) -> Iterator[tuple[str, Any]]:
    for name, value in {**call.arrays, **call.options}.items():
        if value is None or stays_on_host(call, name) or isinstance(call.record.options.get(name), Indices):
            continue  # nothing, or what the check has made a NumPy array
        for part in _flat(value):
            # A number among the options is of no kind.
            if hasattr(part, "shape") and (name in call.arrays or part.shape):
                yield name, part


def _flat(value: Any) -> Iterator[Any]:
    """Yield what a tuple holds, and what tuples in it hold; anything else is itself."""
    if isinstance(value, tuple):
        for part in value:
            yield from _flat(part)
    else:
        yield value


def stays_on_host(call: Bound, name: str) -> bool:
    """Whether an argument is a list of whole numbers that the host reads, whatever kind the arrays are of."""
    return isinstance(call.record.options.get(name), Labels)


def needed_dtype(call: Bound, name: str, array: Any) -> str | None:
    """Return the dtype in which an engine takes an argument, or one array of it; None for its own.

    What only broadcasts may be as large as (m, n): it is handed over as it is, never converted as a whole. Positions
    and labels stay whole numbers, those among the arrays as floats that hold them; the flags of a tree stay flags.
    """
    option = call.record.options.get(name)
    if isinstance(option, (Indices, Labels)) or (isinstance(option, Levels) and dtype_name(array) == "bool"):
        return None
    if name in call.record.labels and dtype_name(array) != call.compute_dtype:
        return "float64"  # which holds all whole numbers up to 2**53: float32 ends at 2**24
    as_it_is = isinstance(option, Array) and (option.boolean or option.broadcast)
    return None if as_it_is else call.compute_dtype


def kind_of_compositions(engine_kind: str) -> Kind:
    """Return the kind of arrays on which an engine's compositions compute: one that has array functions.

    Numba's device arrays have none; CuPy's share their memory.
    """
    if engine_kind == "cuda":
        return KINDS["numpy" if simulated() else "cupy"]
    return KINDS[engine_kind]


@functools.cache
def namespace(kind: str) -> Any:
    """Return the module whose functions work on arrays of a kind, under the names of the array API standard."""
    return importlib.import_module(f"array_api_compat.{kind}")


def _numba_cuda() -> Any:
    from .numba_cuda.target import cuda

    return cuda


def _numpy_dtype(name: str) -> Any:
    if name != "bfloat16":
        return np.dtype(name)
    from ml_dtypes import bfloat16

    return np.dtype(bfloat16)


def _is_instance(array: Any, module: str, name: str) -> bool:
    """Whether an array is of a class of a module, which is not imported (and may just be being imported)."""
    cls = getattr(sys.modules.get(module), name, None)
    return cls is not None and isinstance(array, cls)


def _is_traced(array: Any) -> bool:
    return isinstance(array, sys.modules["jax"].core.Tracer)
