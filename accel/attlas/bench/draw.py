"""Inputs of benchmarks: plain normal numbers, the same options in every round."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from attlas_ref.records import Record
from attlas_ref.testing.drawn import Call, example_call


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
    given = {name: value for name, value in required.items() if not hasattr(value, "shape")}
    call = example_call(record.name, rng, sizes, batch, dtype, **{**given, **options})
    for array in call.every_array():
        array.flags.writeable = True  # PyTorch shares no memory that is read-only
    return call


def member(call: Call, batch: tuple[int, ...]) -> Call:
    """The last member of a batch as a call of its own; what all members share stays as it is."""
    last = (-1,) * len(batch)

    def one(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(one(part) for part in value)
        own = hasattr(value, "shape") and value.shape[: len(batch)] == batch
        return value[last] if own else value

    return Call(call.name, tuple(map(one, call.arrays)), {name: one(value) for name, value in call.options.items()})
