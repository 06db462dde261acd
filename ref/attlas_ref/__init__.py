"""Attlas, the book: every attention formulation in readable NumPy.

Each public function is one short file, written to be read beside its paper. The names come from the records
(`attlas_ref.records`); a module is imported when its function is first asked for.
"""

from typing import Any

from .records import all_records, find

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        function = find(name).reference
    except LookupError as error:
        raise AttributeError(f"module {__name__!r}: {error}") from None
    globals()[name] = function
    return function


def __dir__() -> list[str]:
    return sorted({*globals(), *(record.name for record in all_records())})
