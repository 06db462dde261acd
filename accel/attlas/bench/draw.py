"""Inputs of benchmarks: plain normal numbers, the same options in every round."""

from collections.abc import Mapping
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
) -> Call:
    """Draw a call; options without a default that are not given get the same value every time."""
    required = example_call(record.name, np.random.default_rng(0)).options
    given = {name: value for name, value in required.items() if isinstance(record.options[name], PLAIN)}
    call = example_call(record.name, rng, sizes, batch, dtype, **{**given, **options})
    for array in call.every_array():
        array.flags.writeable = True  # PyTorch shares no memory that is read-only
    return call


def member(call: Call, batch: tuple[int, ...]) -> Call:
    """The last member of a batch as a call of its own; what all members share stays as it is."""
    record, last = find(call.name), (-1,) * len(batch)

    def one(value: Any, core: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(one, value, core))
        own = hasattr(value, "shape") and value.ndim == len(batch) + len(core)
        return value[last] if own else value

    cores = {name: option.cores if isinstance(option, Partial) else getattr(option, "core", ())
             for name, option in record.options.items()}  # fmt: skip
    arrays = tuple(map(one, call.arrays, parse_signature(record.signature).inputs))
    return Call(call.name, arrays, {name: one(value, cores[name]) for name, value in call.options.items()})
