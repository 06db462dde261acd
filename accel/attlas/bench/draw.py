"""Inputs of benchmarks: plain normal numbers, the same options in every round."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from attlas_ref.contract import Choice, Flag, Integer, Number, Partial, parse_signature
from attlas_ref.records import Record, find
from attlas_ref.testing.drawn import Call, example_call

PLAIN = (Number, Integer, Flag, Choice)
"""Options whose value does not depend on the sizes."""


def drawn_call(
    record: Record,
    rng: np.random.Generator,
    sizes: Mapping[str, int],
    batch: tuple[int, ...],
    dtype: str,
    options: Mapping[str, Any],
    arrays: Collection[str] = (),
) -> Call:
    """Draw a call with these optional arrays; options without a default get the same value every time."""
    required = example_call(record.name, np.random.default_rng(0)).options
    given = {name: value for name, value in required.items() if isinstance(record.options[name], PLAIN)}
    call = example_call(record.name, rng, sizes, batch, dtype, given=arrays, **{**given, **options})
    for array in call.every_array():
        array.flags.writeable = True  # PyTorch shares no memory that is read-only
    return call


def member(call: Call, batch: tuple[int, ...]) -> Call:
    """The last member of a batch as a call of its own; what all members share stays as it is."""
    last = (-1,) * len(batch)
    return _changed(call, lambda array, core: array[last] if array.ndim == len(batch) + len(core) else array)


def last_queries(call: Call, count: int) -> Call:
    """The call of the last queries alone, where one query's result does not depend on the others."""

    def cut(array: Any, core: Any) -> Any:
        place = core.index("m") - len(core) if "m" in core else 0
        if not place or array.ndim < -place or array.shape[place] == 1:
            return array
        return array[(..., slice(-count, None), *(slice(None),) * (-place - 1))]

    return _changed(call, cut)


def _changed(call: Call, change: Callable[[Any, Any], Any]) -> Call:
    """The call with change(array, core) in place of every array."""
    record = find(call.name)

    def one(value: Any, core: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(one, value, core))
        return change(value, core) if hasattr(value, "shape") else value

    cores = {name: option.cores if isinstance(option, Partial) else getattr(option, "core", ())
             for name, option in record.options.items()}  # fmt: skip
    arrays = tuple(map(one, call.arrays, parse_signature(record.signature).inputs))
    return Call(call.name, arrays, {name: one(value, cores[name]) for name, value in call.options.items()})
