"""Attlas, the engine: attention formulations as fast kernels.

The same names and signatures as ``attlas_ref``, plus ``backend=``. A call runs where its arrays live (NumPy, CuPy,
PyTorch, JAX) and returns the kind it was given. Nothing heavy is imported until a call needs it.
"""

from typing import Any

from attlas_ref.contract import AttentionPartial, AttentionResult, AttentionVJP, AttentionVJPWithBias
from attlas_ref.records import all_records, find

from .threads import get_num_threads, set_num_threads

__version__ = "0.1.0"

__all__ = [
    "AttentionPartial",
    "AttentionResult",
    "AttentionVJP",
    "AttentionVJPWithBias",
    "__version__",
    "get_num_threads",
    "set_num_threads",
]
__all__ += [record.name for record in all_records() if record.runs]


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        record = find(name)
    except LookupError as error:
        raise AttributeError(f"module {__name__!r}: {error}") from None
    if not record.runs:
        raise AttributeError(f"module {__name__!r}: no engine computes {name} yet; attlas_ref.{name} is its reference")
    from .dispatch import public_function

    # Of two threads that ask at once both get the same function: it must stay the one that a pickle names.
    return globals().setdefault(name, public_function(record))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
