"""Inputs of benchmarks: plain normal numbers, the same options in every round."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from attlas_ref.contract import Choice, Flag, Integer, Levels, Number, Partial, parse_signature
from attlas_ref.contract.signature import in_line
from attlas_ref.records import Record, find
from attlas_ref.testing.drawn import Call, example_call

PARTS = 2
"""How many arrays a tuple of any number of them has."""
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
    required = example_call(record.name, np.random.default_rng(0), sizes).options
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
    return _changed(call, lambda array, core: _cut(array, core, "m", slice(-count, None)))


def first_tokens(call: Call, count: int) -> Call:
    """The call of the first tokens alone, where a token's result does not depend on later ones."""
    return _changed(call, lambda array, core: _cut(array, core, "n", slice(count)))


def _cut(array: Any, core: Any, letter: str, rows: slice) -> Any:
    """Keep some rows of an array, unless one row stands for all."""
    place = core.index(letter) - len(core) if letter in core else 0
    if not place or array.ndim < -place or array.shape[place] == 1:
        return array
    return array[(..., rows, *(slice(None),) * (-place - 1))]


def _changed(call: Call, change: Callable[[Any, Any], Any]) -> Call:
    """The call with change(array, core) in place of every array."""
    record = find(call.name)

    def one(value: Any, core: Any) -> Any:
        if isinstance(value, tuple):
            of_arrays = any(hasattr(part, "shape") or isinstance(part, tuple) for part in value)
            return tuple(map(one, value, core)) if of_arrays else value
        value = np.asarray(value) if isinstance(value, list) and core else value  # indices
        return change(value, core) if hasattr(value, "shape") else value

    cores: dict[str, Any] = {
        name: option.cores if isinstance(option, Partial) else in_line(getattr(option, "core", ()), PARTS)
        for name, option in record.options.items()
    }
    for name, option in record.options.items():
        if isinstance(option, Levels):
            cores[name] = ((("nodes", option.width), ("nodes",)),) * len(call.options.get(name) or ())
    arrays = tuple(map(one, call.arrays, parse_signature(record.signature, PARTS).inputs))
    return Call(call.name, arrays, {name: one(value, cores[name]) for name, value in call.options.items()})
