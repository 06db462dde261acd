"""Inputs of benchmarks: plain normal numbers, the same options in every round."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from attlas_ref.contract import Choice, Flag, Integer, Number
from attlas_ref.records import Record
from attlas_ref.testing.drawn import Call, example_call
from attlas_ref.testing.members import changed

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


def last_queries(call: Call, count: int) -> Call:
    """The call of the last queries alone, where one query's result does not depend on the others."""
    return changed(call, lambda array, core: _cut(array, core, "m", slice(-count, None)))


def first_tokens(call: Call, count: int) -> Call:
    """The call of the first tokens alone, where a token's result does not depend on later ones."""
    return changed(call, lambda array, core: _cut(array, core, "n", slice(count)))


def _cut(array: Any, core: Any, letter: str, rows: slice) -> Any:
    """Keep some rows of an array, unless one row stands for all."""
    place = core.index(letter) - len(core) if letter in core else 0
    if not place or array.ndim < -place or array.shape[place] == 1:
        return array
    return array[(..., rows, *(slice(None),) * (-place - 1))]
