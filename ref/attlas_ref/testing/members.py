"""A call seen array by array, each with the letters of its axes: one member of a batch as a call of its own."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..contract import Indices, Levels, Partial, parse_signature
from ..contract.results import flat
from ..contract.signature import in_line
from ..records import Record, find
from .plan import Call


def member(call: Call, batch: tuple[int, ...], index: tuple[int, ...], parts: int = 2) -> Call:
    """One member of a batch as a call of its own; what all members share stays as it is.

    Parameters
    ----------
    call : Call
        Its arrays have these leading axes or none.
    batch : tuple of int
        The leading axes.
    index : tuple of int
        Where the member stands.
    parts : int, default 2
        How many arrays a tuple of any number of them has.
    """
    axes = len(batch)
    return changed(
        call, lambda array, core: np.asarray(array[index]) if array.ndim == axes + len(core) else array, parts
    )


def changed(call: Call, change: Callable[[Any, Any], Any], parts: int = 2) -> Call:
    """The call with change(array, core) in place of every array."""
    record = find(call.name)

    def one(value: Any, core: Any) -> Any:
        if isinstance(value, tuple):
            of_arrays = any(hasattr(part, "shape") or isinstance(part, tuple) for part in value)
            return tuple(map(one, value, core)) if of_arrays else value
        return change(value, core) if hasattr(value, "shape") else value

    cores: dict[str, Any] = {
        name: option.cores if isinstance(option, Partial) else in_line(getattr(option, "core", ()), parts)
        for name, option in record.options.items()
    }
    for name, option in record.options.items():
        if isinstance(option, Levels):
            cores[name] = ((("nodes", option.width), ("nodes",)),) * len(call.options.get(name) or ())
    options = {
        name: np.asarray(value) if isinstance(value, list) and isinstance(record.options[name], Indices) else value
        for name, value in call.options.items()
    }
    arrays = tuple(map(one, call.arrays, parse_signature(record.signature, parts).inputs))
    return Call(call.name, arrays, {name: one(value, cores[name]) for name, value in options.items()})


def of_members(record: Record, result: Any) -> list[Any]:
    """The results that every member of a batch has its own of, in line; the others stand for the batch as a whole."""
    if record.pools_batch:
        return []
    return [part for place, part in enumerate(flat(result)) if place not in record.pooled]
