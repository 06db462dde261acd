"""The records: one entry per formulation, the single source of truth.

Coverage, equivalence tests, the laws, the pages, ``attlas list`` and the benchmarks are read from here. Importing the
records imports no formulation and no engine.
"""

import importlib
from functools import cache

from .record import ENGINES, Draft, Record, Source

FAMILIES = (
    *("dotproduct", "normalizers", "memory", "kronecker"),
    *("probabilistic", "variational", "pointer", "monotonic"),
)
"""The floor plan, in reading order; each is a folder of references and a module of records."""

__all__ = ["ENGINES", "FAMILIES", "Draft", "Record", "Source", "all_records", "find"]


@cache
def _by_name() -> dict[str, Record]:
    table: dict[str, Record] = {}
    for family in FAMILIES:
        for record in importlib.import_module(f"{__name__}.{family}").RECORDS:
            if record.name in table:
                raise ValueError(f"two records are named {record.name}")
            table[record.name] = record
    return table


def all_records(family: str | None = None) -> tuple[Record, ...]:
    """Every record in reading order, or those of one family."""
    return tuple(record for record in _by_name().values() if family in (None, record.family))


def find(name: str) -> Record:
    """The record of a formulation.

    Examples
    --------
    >>> find("softmax_attention").signature
    '(m,d),(n,d),(n,e)->(m,e)'
    """
    try:
        return _by_name()[name]
    except KeyError:
        from difflib import get_close_matches

        near = get_close_matches(name, _by_name(), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise LookupError(f"no formulation is named {name!r}{hint}") from None
