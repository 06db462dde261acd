"""Checks one call against its record: arguments, shapes, dtypes, options.

Only shapes and dtype names are looked at, so that arrays of any library pass through untouched. The error messages
are part of the contract: they name the function, the argument, what came, and what is needed.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .options import Array, Indices, Levels, Option, Partial
from .shapes import Shapes
from .signature import Core, in_line, is_group, is_open, parse_signature, size_of

if TYPE_CHECKING:
    from ..records import Record

FLOATS = ("float16", "bfloat16", "float32", "float64")
"""The dtypes that come back as they went in."""


@dataclass(frozen=True)
class Bound:
    """A checked call: what to compute, on what, and in which precision."""

    record: "Record"
    arrays: dict[str, Any]
    """The positional arrays (or tuples of arrays), as they came."""
    options: dict[str, Any]
    """Every option, defaults filled in; arrays among them as they came."""
    sizes: dict[str, int]
    """The size of each letter of the signature."""
    batch: tuple[int, ...]
    """The leading axes of the result: all leading axes, broadcast."""
    dtype: str
    """The floating type of the arrays together."""

    @property
    def compute_dtype(self) -> str:
        """The precision of the arithmetic: half precision is computed in float32."""
        return "float32" if self.dtype in ("float16", "bfloat16") else self.dtype

    @property
    def result_dtype(self) -> str:
        """The precision of the results: as it came in, except for accumulators that are to be used further."""
        return self.compute_dtype if self.record.keeps_accumulators else self.dtype


def dtype_name(array: Any) -> str:
    """The name of an array's dtype in any library: ``float32`` for ``numpy.float32`` and ``torch.float32``."""
    return _name_of(array.dtype)


@lru_cache(maxsize=64)
def _name_of(dtype: Any) -> str:
    return str(getattr(dtype, "name", dtype)).removeprefix("torch.")


def check_array_like(function: str, name: str, value: Any) -> Any:
    """Return an array of any library as it is, and make a NumPy array of nested sequences and numbers."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{function}: {name} is a numpy.ma array; hand its mask over as mask= (True = may attend)")
    if value is None:
        raise TypeError(f"{function}: {name} is None; it needs an array")
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return value
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{function}: {name} cannot be made an array: {error}") from None


def _float_of(function: str, name: str, array: Any) -> str:
    dtype = dtype_name(array)
    if dtype in FLOATS:
        return dtype
    if dtype.startswith(("int", "uint", "bool")):
        return "float64"
    raise TypeError(f"{function}: {name} has dtype {dtype}; it needs real numbers ({', '.join(FLOATS)} or integers)")


def _promote(dtypes: list[str]) -> str:
    kinds = set(dtypes)
    if kinds == {"float16", "bfloat16"}:
        return "float32"  # neither holds the other
    return max(kinds, key=FLOATS.index) if kinds else "float64"


class Form:
    """What a call may look like: the names of its arrays and options, and the defaults.

    Parameters
    ----------
    signature : inspect.Signature
        Of the reference: arrays by position or name, options by name alone.
    known : mapping
        The options of the record. A positional argument among them is no array of real numbers, and is checked as the
        option that it is.
    """

    def __init__(self, signature: inspect.Signature, known: Mapping[str, Option]) -> None:
        options = [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
        self.signature = signature
        self.positional = tuple(p.name for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD)
        self.arrays = tuple(name for name in self.positional if name not in known)
        self.options = frozenset(p.name for p in options)
        self.defaults = {p.name: p.default for p in options if p.default is not p.empty}

    def values(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Every argument by its name; TypeError if one is missing or unknown."""
        given = self.defaults.keys() | kwargs.keys()
        if len(args) == len(self.positional) and given == self.options:  # the usual call, ten times as fast as `bind`
            return {**dict(zip(self.positional, args, strict=True)), **self.defaults, **kwargs}
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return dict(bound.arguments)


def bind(record: "Record", args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Bound:
    """Check a call against its record.

    Parameters
    ----------
    record : Record
        The formulation's record: shape signature and options.
    args, kwargs
        The call as it came.

    Returns
    -------
    Bound
        The arrays and options, the sizes, the leading axes and the precision.

    Raises
    ------
    TypeError, ValueError
        Naming the function, the argument, what it got and what it needs.
    """
    function = record.name
    try:
        values = record.form.values(args, kwargs)
    except TypeError as error:
        raise TypeError(f"{function}: {error}") from None

    shapes = Shapes(function)
    dtypes: list[str] = []
    arrays: dict[str, Any] = {}

    def take(name: str, value: Any, core: Core) -> Any:
        array = check_array_like(function, name, value)
        dtype = _float_of(function, name, array)
        if name not in record.labels:
            dtypes.append(dtype)
        short = record.shorter.get(name)
        shapes.add(name, tuple(array.shape), short if short and len(array.shape) == len(short) else core)
        return array

    def take_draws(name: str, value: Any, core: Core) -> Any:
        array = take(name, value, core)
        dtypes.pop()
        return array

    def take_flags(name: str, value: Any, core: Core) -> Any:
        array = _booleans(function, name, value)
        shapes.add(name, tuple(array.shape), core)
        return array

    parts = _count_parts(record, values)
    for name, entry in zip(record.form.arrays, parse_signature(record.signature, parts).inputs, strict=True):
        value = values.pop(name)
        if value is None and name in record.defaults_to:
            other = record.defaults_to[name]
            if other is None:
                arrays[name] = None
                continue
            value = arrays[other]
        for flag, wider in record.wider.items():
            if values.get(flag) is True:
                entry = wider.get(name, entry)
        if name in record.one_row:
            value = _without_a_row(function, name, value, arrays[record.one_row[name]])
        arrays[name] = _take_group(function, name, value, entry, take) if is_group(entry) else take(name, value, entry)  # type: ignore[arg-type]

    options: dict[str, Any] = {}
    spread: dict[str, Array] = {}
    for name, value in values.items():
        kind = record.options[name]
        options[name] = kind.check(function, name, value)
        if value is None:
            continue
        if isinstance(kind, Array):
            if isinstance(value, str) and value in kind.words:
                continue
            if kind.broadcast:
                spread[name] = kind if parts is None else replace(kind, core=in_line(kind.core, parts))
            else:
                core = kind.core[1:] if kind.shared and np.ndim(value) == len(kind.core) - 1 else kind.core
                taken = take_flags if kind.boolean else take if kind.widens else take_draws
                options[name] = taken(name, value, core)
                _check_axes(function, name, options[name], kind)
        elif isinstance(kind, Indices):
            shapes.add(name, options[name].shape, kind.core)
            _check_axes(function, name, options[name], kind)
            limit = size_of(kind.below, shapes.sizes) if kind.below else None
            if limit is not None and options[name].size and options[name].max() >= limit:
                found = options[name].max()
                raise ValueError(f"{function}: {name} holds {found}; it needs numbers below {kind.below} = {limit}")
        elif isinstance(kind, Partial):
            options[name] = _take_group(function, name, value, kind.cores, take)
        elif isinstance(kind, Levels):
            options[name] = tuple(
                (
                    take(f"{name}[{level}][0]", nodes, (f"{name}_{level}", kind.width)),
                    take_flags(f"{name}[{level}][1]", flags, (f"{name}_{level}",)),
                )
                for level, (nodes, flags) in enumerate(options[name])
            )

    shapes.check_late()
    for letter, otherwise in record.counts.items():
        shapes.sizes[letter] = shapes.sizes[otherwise] if options[letter] is None else options[letter]
    for letter in record.positive:
        if shapes.sizes.get(letter) == 0:
            name = shapes.owners[letter]
            shape = shapes.shapes[name]
            raise ValueError(f"{function}: {name} has width {letter} = 0 (shape {shape}); it needs at least 1")
    batch = shapes.batch()
    for name, kind in spread.items():
        options[name] = _take_spread(function, name, options[name], kind, batch, shapes.sizes)
    for check in record.checks:
        check(function, {**arrays, **options})
    return Bound(record, arrays, options, shapes.sizes, batch, _promote(dtypes))


def _count_parts(record: "Record", values: Mapping[str, Any]) -> int | None:
    """How many arrays the tuples of any length have, which is the same for all; None if there are no such tuples."""
    tuples = {name: values[name] for name in _tuples_of(record.signature, record.form.arrays)}
    first = next(iter(tuples), "")
    for name, value in tuples.items():
        if not isinstance(value, tuple):
            raise TypeError(f"{record.name}: {name} is {type(value).__name__}; it needs a tuple of arrays")
        if not value:
            raise ValueError(f"{record.name}: {name} is empty; it needs at least one array")
        if len(value) != len(tuples[first]):
            raise ValueError(
                f"{record.name}: {name} has {len(value)} arrays and {first} has {len(tuples[first])}; they need as many"
            )
    return len(tuples[first]) if tuples else None


@cache
def _tuples_of(signature: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Which arguments are tuples of any length."""
    return tuple(name for name, entry in zip(names, parse_signature(signature).inputs, strict=True) if is_open(entry))


def _without_a_row(function: str, name: str, value: Any, other: Any) -> Any:
    """Return an array without the axis of 1 that stands in the place of the rows of another one."""
    array = check_array_like(function, name, value)
    shape = tuple(array.shape)
    return array[..., 0, :] if len(shape) == len(other.shape) and shape[-2:-1] == (1,) else array


def _take_group(
    function: str, name: str, value: Any, cores: tuple[Core, ...], take: Callable[[str, Any, Core], Any]
) -> tuple[Any, ...]:
    if not isinstance(value, tuple) or len(value) != len(cores):
        came = f"a tuple of {len(value)}" if isinstance(value, tuple) else type(value).__name__
        raise TypeError(f"{function}: {name} is {came}; it needs a tuple of {len(cores)} arrays")
    labels = getattr(value, "_fields", range(len(cores)))
    return tuple(take(f"{name}[{label}]", part, core) for label, part, core in zip(labels, value, cores, strict=True))


def _check_axes(function: str, name: str, array: Any, kind: Array | Indices) -> None:
    """Refuse leading axes where there can be none."""
    if not kind.batched and len(array.shape) > len(kind.core):
        letters = ", ".join(kind.core) + ("," if len(kind.core) == 1 else "")
        raise ValueError(f"{function}: {name} has shape {tuple(array.shape)}; it needs the shape ({letters})")


def _booleans(function: str, name: str, value: Any, meaning: str = "") -> Any:
    array = check_array_like(function, name, value)
    if dtype_name(array) != "bool":
        raise TypeError(f"{function}: {name} has dtype {dtype_name(array)}; it needs booleans{meaning}")
    return array


def _take_spread(
    function: str, name: str, value: Any, kind: Array, batch: tuple[int, ...], sizes: dict[str, int]
) -> Any:
    if kind.boolean:
        array = _booleans(function, name, value, " (True = may attend)")
    else:
        array = check_array_like(function, name, value)
        _float_of(function, name, array)
    target = batch + tuple(size_of(letter, sizes) or 0 for letter in kind.core)
    shape = tuple(array.shape)
    fits = len(shape) <= len(target) and all(
        size in (1, wanted) for size, wanted in zip(shape[::-1], target[::-1], strict=False)
    )
    if not fits:
        letters = ", ".join(("...", *kind.core))
        raise ValueError(f"{function}: {name} has shape {shape}; it needs to broadcast to ({letters}) = {target}")
    return array
