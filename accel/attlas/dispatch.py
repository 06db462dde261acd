"""From a public call to an engine and back.

A call is checked against its record, runs on the engine that its arrays choose (or `backend`), in at least float32,
and comes back as the kind and dtype that it was given.
"""

import inspect
from collections.abc import Callable
from typing import Any, get_args, get_origin

import numpy as np

from attlas_ref.contract import Bound, bind
from attlas_ref.contract.binding import dtype_name
from attlas_ref.contract.reference import tuple_like
from attlas_ref.records import Record, find

from . import arrays
from .engines import Engine, engine_named

BACKEND_NOTE = """
    backend : {"numba", "numba-cuda", "cupy"}, optional
        The engine. By default the one of the arrays: what lives on the CPU runs on "numba", CuPy arrays and the CUDA
        tensors of PyTorch and JAX on "cupy", Numba's device arrays on "numba-cuda". With an engine chosen by hand the
        arrays are copied to where it runs, and the result back. ValueError if there is none of that name,
        RuntimeError if this machine lacks something for it; `attlas doctor` says what."""


def public_function(record: Record) -> Callable[..., Any]:
    """Make the public function of a formulation: the reference's signature and lesson, an engine's speed."""
    if record.kind == "U":
        return record.reference

    def accelerated(*args: Any, backend: str | None = None, **kwargs: Any) -> Any:
        call = bind(record, args, kwargs)
        like, device = arrays.kind_of_call(call)
        return run(engine_named(like.engine if backend is None else backend, record.name), call, like, device)

    accelerated.__module__ = "attlas"
    accelerated.__name__ = accelerated.__qualname__ = record.name
    accelerated.__doc__ = _with_backend(record.reference.__doc__ or "")
    shown = public_signature(record.python_signature)
    accelerated.__signature__ = shown  # type: ignore[attr-defined]
    accelerated.__annotations__ = {p.name: p.annotation for p in shown.parameters.values()}
    accelerated.__annotations__["return"] = shown.return_annotation
    return accelerated


def public_signature(signature: inspect.Signature) -> inspect.Signature:
    """Return a reference's signature as an engine has it: arrays of any library, and `backend`."""
    parameters = [p.replace(annotation=_of_any_library(p.annotation)) for p in signature.parameters.values()]
    parameters.append(inspect.Parameter("backend", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=str | None))
    return signature.replace(parameters=parameters, return_annotation=_of_any_library(signature.return_annotation))


def _of_any_library(annotation: Any) -> Any:
    """Replace NumPy's arrays in an annotation by Any."""
    if not _holds_arrays(annotation):
        return annotation
    if get_origin(annotation) is tuple:
        return tuple[tuple(map(_of_any_library, get_args(annotation)))]  # type: ignore[misc]
    return Any


def _holds_arrays(annotation: Any) -> bool:
    return get_origin(annotation) is np.ndarray or any(map(_holds_arrays, get_args(annotation)))


def run(engine: Engine, call: Bound, like: arrays.Kind, device: Any = None) -> Any:
    """Run a checked call on an engine and return the result as `like`, on `device` and in the dtype that it came in."""
    native = arrays.kind_of_compositions(engine.arrays) if call.record.kind == "C" else arrays.KINDS[engine.arrays]
    with native.on(device if native is like else None):
        taken = {name: _take(native, value, call, name) for name, value in {**call.arrays, **call.options}.items()}
        inputs = [taken.pop(name) for name in call.arrays]
        # NaN and infinity are legal inputs whose meaning the contract fixes: no warnings about them.
        with np.errstate(all="ignore"):
            result = engine.function(call.record)(*inputs, **taken)
            return _give(result, like, call.result_dtype, device)


def _take(native: arrays.Kind, value: Any, call: Bound, name: str) -> Any:
    if isinstance(value, tuple):
        return tuple(_take(native, part, call, name) for part in value)
    if not hasattr(value, "shape") or arrays.stays_on_host(call, name):
        return value
    return native.take(value, arrays.needed_dtype(call, name, value))


def call_on(engine: Engine, name: str, *args: Any, **kwargs: Any) -> Any:
    """Check a call by the contract and run it on a given engine, whatever its arrays would choose."""
    record = find(name)
    if record.kind == "U":
        return record.reference(*args, **kwargs)
    call = bind(record, args, kwargs)
    return run(engine, call, *arrays.kind_of_call(call))


def _give(result: Any, like: arrays.Kind, dtype: str, device: Any) -> Any:
    if result is None:  # the gradient of an argument that was not given
        return None
    if isinstance(result, tuple):
        return tuple_like(result, (_give(part, like, dtype, device) for part in result))
    if like.has(result, dtype):
        return result
    # Counts stay whole numbers.
    counts = dtype_name(result).startswith(("int", "uint", "bool"))
    return like.receive(arrays.owner(result).export(result, None), None if counts else dtype, device)


def _with_backend(doc: str) -> str:
    """Add the engine's own parameter to the lesson, where the parameters end."""
    head, gap, tail = doc.partition("\n\n    Returns\n")
    return head + BACKEND_NOTE + gap + tail if gap else doc


__all__ = ["call_on", "public_function", "run"]
