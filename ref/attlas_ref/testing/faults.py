"""Calls that must be refused, with the error that they deserve and the argument that it must name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..contract import (
    Array,
    Choice,
    Flag,
    Indices,
    Integer,
    Integers,
    Labels,
    Levels,
    Number,
    Option,
    Partial,
    Slice,
    WordOrNumber,
    parse_signature,
)
from ..contract.signature import is_group, is_open
from ..records import Record, find
from .drawn import Call, example_call


@dataclass(frozen=True)
class BadCall:
    """A call with one mistake."""

    name: str
    mistake: str
    argument: str
    """The argument that the message must name."""
    error: type[Exception]
    arrays: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)

    def by(self, function: Callable[..., Any]) -> Any:
        """Make the call through ``function(name, *arrays, **options)``."""
        return function(self.name, *self.arrays, **self.options)

    def __repr__(self) -> str:
        return f"{self.name}: {self.argument} {self.mistake}"


def bad_calls(name: str) -> list[BadCall]:
    """Return calls of a formulation with one mistake each: in every array and every option.

    >>> [bad for bad in bad_calls("attention_energy") if bad.argument == "temperature"][0]
    attention_energy: temperature is None
    """
    record = find(name)
    call = example_call(name, np.random.default_rng(0), sizes={"m": 3, "n": 5, "d": 4, "e": 2}, batch=(2,))
    return [
        *_in_arrays(record, call),
        *_in_sizes(record, call),
        *_in_options(record, call),
        *_in_the_call(record, call),
    ]


def _in_arrays(record: Record, call: Call) -> Iterator[BadCall]:
    """Wrong kinds of things in place of an array."""
    for index, (argument, entry) in enumerate(zip(record.takes, parse_signature(record.signature).inputs, strict=True)):
        value = call.arrays[index]

        def put(thing: Any, mistake: str, error: type[Exception]) -> BadCall:
            arrays = (*call.arrays[:index], thing, *call.arrays[index + 1 :])  # noqa: B023
            return BadCall(record.name, mistake, argument, error, arrays, call.options)  # noqa: B023

        if is_open(entry):
            yield put(list(value), "is a list, not a tuple", TypeError)
            yield put((), "is empty", ValueError)
            yield put((value[0], value[1].astype(complex)), "holds a complex array", TypeError)
            yield put((value[0], np.concatenate([value[1]] * 2, axis=-1)), "holds a width too many", ValueError)
            continue
        if is_group(entry):
            yield put(list(value), "is a list, not a tuple", TypeError)
            yield put(value[:-1], "lacks a part", TypeError)
            yield put((value[0], value[1].astype(complex), *value[2:]), "holds a complex array", TypeError)
            yield put((value[0], -1 - value[1], *value[2:]), "holds a negative total", ValueError)
            continue
        if argument not in record.defaults_to:
            yield put(None, "is None", TypeError)
        if entry:  # an array of no axes of its own may be one
            yield put(np.asarray(1.0), "is a number", ValueError)
        yield put([[1.0], [1.0, 2.0]], "is ragged", ValueError)
        yield put(np.full(value.shape, "a"), "is text", TypeError)
        yield put(value.astype(complex), "is complex", TypeError)
        yield put(value.astype(object), "holds objects", TypeError)
        yield put(np.zeros(value.shape, "M8[s]"), "holds dates", TypeError)
        yield put(np.ma.masked_array(value), "is a numpy.ma array", TypeError)
        if np.dtype(np.longdouble) != np.dtype(np.float64):
            yield put(value.astype(np.longdouble), "is of extended precision", TypeError)


def _in_sizes(record: Record, call: Call) -> Iterator[BadCall]:
    """One axis of one array at odds with the rest."""
    inputs = parse_signature(record.signature).inputs
    cores = [core for entry in inputs for core in (entry if is_group(entry) else (entry,))]
    for index, (argument, entry) in enumerate(zip(record.takes, inputs, strict=True)):
        if is_group(entry):
            continue
        value = call.arrays[index]
        for axis, letter in enumerate(entry):
            if sum(letter in core for core in cores) > 1:
                longer = np.concatenate([value, value], axis=axis - len(entry))
                yield BadCall(
                    record.name, f"has {letter} entries too many", argument, ValueError, *_with(call, index, longer)
                )
        apart = np.ones((3, *value.shape[value.ndim - len(entry) :]))
        if len(call.arrays) > 1:
            yield BadCall(record.name, "does not broadcast", argument, ValueError, *_with(call, index, apart))
    if "d" in record.positive and any("d" in core for core in cores):
        narrow = tuple(_narrowed(array, entry) for array, entry in zip(call.arrays, inputs, strict=True))
        named = zip(record.takes, inputs, strict=True)
        first = next(name for name, entry in named if "d" in (entry[0] if is_group(entry) else entry))
        yield BadCall(record.name, "has width 0", first, ValueError, narrow, call.options)


def _narrowed(array: Any, entry: Any) -> Any:
    """An array, or a tuple of arrays, with width 0 where it has the width d."""
    if is_group(entry):
        return tuple(part[..., :0] if "d" in entry[0] else part for part in array)
    return array.take([], axis=entry.index("d") - len(entry)) if "d" in entry else array


def _with(call: Call, index: int, array: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (*call.arrays[:index], array, *call.arrays[index + 1 :]), call.options


def _in_options(record: Record, call: Call) -> Iterator[BadCall]:
    for argument, option in record.options.items():
        for value, mistake, error in _bad_values(option):
            yield BadCall(record.name, mistake, argument, error, call.arrays, {**call.options, argument: value})


def _bad_values(option: Option) -> Iterator[tuple[Any, str, type[Exception]]]:
    if not option.optional and not isinstance(option, Choice):
        yield None, "is None", TypeError
    if isinstance(option, Number):
        yield float("nan"), "is nan", ValueError
        yield (-float("inf") if option.infinite else float("inf")), "is infinite", ValueError
        yield "1", "is text", TypeError
        yield True, "is a truth value", TypeError
        yield 1j, "is complex", TypeError
        yield np.ones(2), "is an array", TypeError
        if option.low > -np.inf:
            yield option.low if option.open_low else option.low - 1, "is too low", ValueError
        if option.high < np.inf:
            yield option.high + 1, "is too high", ValueError
    elif isinstance(option, Integer):
        yield 1.5, "is not whole", TypeError
        yield True, "is a truth value", TypeError
        if option.low is not None:
            yield option.low - 1, "is too low", ValueError
    elif isinstance(option, Flag):
        yield 1, "is a number", TypeError
        yield "yes", "is text", TypeError
    elif isinstance(option, Choice):
        yield "no such choice", "is unknown", ValueError
        yield 3, "is a number", TypeError
    elif isinstance(option, Integers):
        yield 3, "is a number", TypeError
        yield (1.5, 1.5), "is not whole", TypeError
        yield (option.low - 1,) * (option.length or 2), "is too low", ValueError
        yield (option.low,) * 7, "is too long", ValueError
    elif isinstance(option, Slice):
        yield 3, "is a number", TypeError
    elif isinstance(option, Labels):
        yield [[0]], "has two axes", TypeError
        yield [0.5], "is not whole", TypeError
        yield [-1], "is negative", ValueError
    elif isinstance(option, Levels):
        yield 3, "is a number", TypeError
        yield (), "is empty", ValueError
        yield (np.ones(2), np.ones(2)), "holds no pairs", TypeError
    elif isinstance(option, Indices):
        yield np.zeros((2, 2, 7, 11), dtype=np.int64), "has another shape", ValueError
        yield [0.5], "is not whole", TypeError
        yield [-1], "is negative", ValueError
        if option.ordered:
            yield [1, 0], "decreases", ValueError
    elif isinstance(option, WordOrNumber):
        yield "no such word", "is an unknown word", ValueError
        # None and text are words' business.
        yield from (bad for bad in _bad_values(option.number) if bad[0] is not None and not isinstance(bad[0], str))
    elif isinstance(option, Partial):
        yield np.ones(3), "is an array", TypeError
        yield (np.ones(1),), "lacks a part", TypeError
    elif isinstance(option, Array):
        yield np.full((2, 2, 7, 11), True if option.boolean else 1.0), "does not broadcast", ValueError
        yield np.full((1, 1), "a"), "is text", TypeError
        if option.words:
            yield "no such word", "is an unknown word", ValueError
        if option.boolean:
            yield np.ones((1, 1), dtype=np.int64), "is of integers", TypeError
        else:
            yield np.ones((1, 1), dtype=complex), "is complex", TypeError


def _in_the_call(record: Record, call: Call) -> Iterator[BadCall]:
    yield BadCall(
        record.name,
        "is no keyword of it",
        "no_such_option",
        TypeError,
        call.arrays,
        {**call.options, "no_such_option": 1},
    )
    if record.takes[-1] not in record.defaults_to:
        yield BadCall(record.name, "is missing", record.takes[-1], TypeError, call.arrays[:-1], call.options)
    placed = [name for name in record.form.positional if name in record.options]
    rest = {name: value for name, value in call.options.items() if name not in placed}
    too_many = (*call.arrays, *(call.options[name] for name in placed), None)
    yield BadCall(record.name, "are too many", "positional", TypeError, too_many, rest)
