"""From a public call to an engine and back.

A call is checked against its record, runs on the engine that its arrays choose (or `backend`), in at least float32,
and comes back as the kind and dtype that it was given.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from attlas_ref.contract import Array, Bound, bind
from attlas_ref.records import Record

from . import arrays
from .engines import TABLE, Engine, engine_named

BACKEND_NOTE = """
    backend : str, optional
        The engine: "numba", "numba-cuda" or "cupy". By default the one of the arrays: NumPy arrays run on "numba",
        GPU arrays on the GPU. A backend chosen by hand gets the arrays copied to where it runs, and back."""


def public_function(record: Record) -> Callable[..., Any]:
    """Make the public function of a formulation: the reference's signature and lesson, an engine's speed."""
    if record.kind == "U":
        return record.reference
    signature = record.python_signature

    @functools.wraps(record.reference)
    def accelerated(*args: Any, backend: str | None = None, **kwargs: Any) -> Any:
        call = bind(record, signature, args, kwargs)
        like = arrays.kind_of_call(record.name, call)
        engine = engine_named(backend) if backend is not None else engine_named(like.engine)
        return run(engine, call, like)

    parameters = [
        *signature.parameters.values(),
        inspect.Parameter("backend", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="str | None"),
    ]
    accelerated.__signature__ = signature.replace(parameters=parameters)
    accelerated.__module__ = "attlas"
    accelerated.__doc__ = _with_backend(record.reference.__doc__ or "")
    del accelerated.__wrapped__  # type: ignore[attr-defined]
    return accelerated


def run(engine: Engine, call: Bound, like: arrays.Kind) -> Any:
    """Run a checked call on an engine and return the result as `like` and in the dtype that it came in."""
    native = arrays.KINDS[engine.arrays]
    inputs = [
        tuple(native.take(part, call.compute_dtype) for part in value)
        if isinstance(value, tuple)
        else native.take(value, call.compute_dtype)
        for value in call.arrays.values()
    ]
    options = dict(call.options)
    for name, option in call.record.options.items():
        if isinstance(option, Array) and options[name] is not None:
            # What only broadcasts may be as large as (m, n): it is handed over as it is, never converted as a whole.
            dtype = None if option.boolean or option.broadcast else call.compute_dtype
            options[name] = native.take(options[name], dtype)
    result = engine.function(call.record)(*inputs, **options)
    return _give(result, native, like, call.result_dtype)


def _give(result: Any, native: arrays.Kind, like: arrays.Kind, dtype: str) -> Any:
    if isinstance(result, tuple):
        return type(result)(*(_give(part, native, like, dtype) for part in result))
    return like.give(result, native, dtype)


def _with_backend(doc: str) -> str:
    """Add the engine's own parameter to the lesson, where the parameters end."""
    head, gap, tail = doc.partition("\n\n    Returns\n")
    return head + BACKEND_NOTE + gap + tail if gap else doc


__all__ = ["TABLE", "public_function", "run"]
