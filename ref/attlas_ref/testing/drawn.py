"""Calls made from a plan: which sizes, layouts, magnitudes, masks and options.

A `Plan` is a few small values and a seed; `build` makes the arrays of it with NumPy. Hypothesis draws and shrinks
plans, the pairwise tables are plans, and `example_call` makes a plain one. So a failing case is named by a short line,
and `build` gives it back.
"""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

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
    size_of,
)
from ..contract.signature import Core, in_line, is_group, is_open
from ..records import Draft, Record, find
from .layouts import is_spread, laid_out
from .leading import leading_axes
from .pairs import bias_of, is_dense, mask_of, planted
from .plan import Call, Plan, dtype_named

SIZED = (Array, Partial, Labels, Indices, Integers, Slice, Levels)
"""Options whose values depend on the sizes of the call; `build` makes them."""


def has_parts(record: Record) -> bool:
    """Whether a formulation takes tuples of any number of arrays."""
    return any(map(is_open, parse_signature(record.signature).inputs))


def cores_of(record: Record, parts: int = 2) -> list[Core]:
    """The cores of all positional arrays, those of groups in line; `parts` of a tuple of any number."""
    return _in_line(parse_signature(record.signature, parts).inputs)


def result_cores_of(record: Record, parts: int = 2) -> list[Core]:
    """The cores of all results, those of groups in line."""
    return _in_line(parse_signature(record.signature, parts).outputs)


def _in_line(entries: tuple[Core | tuple[Core, ...], ...]) -> list[Core]:
    cores: list[Core] = []
    for entry in entries:
        cores += cast("list[Core]", list(entry)) if is_group(entry) else [cast("Core", entry)]
    return cores


def letters_of(record: Record, parts: int = 2) -> list[str]:
    """The letters of a signature in the order in which they stand; those of array options too."""
    options = [
        in_line(option.core, parts) for option in record.options.values() if isinstance(option, (Array, Indices))
    ]
    cores = [*cores_of(record, parts), *options]
    # Numbers, multiples and sums of letters follow from the letters.
    return list(dict.fromkeys(letter for core in cores for letter in core if letter.isidentifier()))


def example_call(
    name: str,
    rng: np.random.Generator,
    sizes: Mapping[str, int] | None = None,
    batch: tuple[int, ...] = (),
    dtype: str = "float32",
    parts: int = 2,
    given: Collection[str] | None = None,
    **options: Any,
) -> Call:
    """Make a plain valid call with normal numbers.

    Parameters
    ----------
    name : str
        The formulation.
    rng : numpy.random.Generator
        Draws the numbers.
    sizes : mapping, optional
        The size of letters of the signature; those not named are small.
    batch : tuple of int, default ()
        The leading axes.
    dtype : str, default "float32"
        Of all arrays.
    parts : int, default 2
        How many arrays a tuple of any number of them has.
    given : names, optional
        The optional arrays that the call has, mask and bias among them; otherwise it has no mask or bias, and the
        others by chance.
    **options
        Keywords of the call, arrays among them; required options that are not given are drawn.

    Returns
    -------
    Call

    Examples
    --------
    >>> call = example_call("attention_energy", np.random.default_rng(0), sizes={"m": 2}, batch=(3,))
    >>> [array.shape for array in call.arrays]
    [(3, 2, 4), (3, 7, 4)]
    """
    record = find(name)
    plan = Plan(
        name=name,
        sizes=_every_size(record, sizes or {}, parts),
        batch=batch,
        dtype=dtype,
        parts=parts,
        mask="random" if given and "mask" in given else None,
        bias="normal" if given and "bias" in given else None,
        seed=int(rng.integers(2**32)),
        options=_required(record, rng),  # as drawn: they are put right with the sizes
    )
    return build(plan, given, **options)


def _every_size(record: Record, sizes: Mapping[str, int], parts: int = 2) -> dict[str, int]:
    """The size of every letter: as named, or small."""
    named = {"m": 5, "n": 7, "d": 4, "e": 3, "n_1": 4, "n_2": 3, "n_3": 2, **sizes}
    return {letter: named.get(letter, 4) for letter in letters_of(record, parts)}


def _required(record: Record, rng: np.random.Generator) -> dict[str, Any]:
    """A value for each option without a default."""
    return {
        name: draw_option(option, rng)
        for name, option in record.options.items()
        if record.python_signature.parameters[name].default is record.python_signature.empty
        and not isinstance(option, SIZED)
    }


def draw_option(option: Option, rng: np.random.Generator) -> Any:
    """Draw a value of an option that is no array."""
    if isinstance(option, Number):
        return float(rng.uniform(*option.draw))
    if isinstance(option, Integer):
        return int(rng.integers(option.draw[0], option.draw[1] + 1))
    if isinstance(option, Flag):
        return bool(rng.integers(2))
    if isinstance(option, Choice):
        return option.values[rng.integers(len(option.values))]
    if isinstance(option, WordOrNumber):
        return option.words[0] if rng.integers(2) else draw_option(option.number, rng)
    raise TypeError(f"no way to draw a value of {option}")


def build(plan: Plan, given: Collection[str] | None = None, /, **options: Any) -> Call:
    """Make the call of a plan; `options` are set on top of those of the plan, `given` as in `example_call`.

    >>> build(Plan("attention_energy", {"m": 1, "n": 2, "d": 3}, mask="nothing")).options["mask"]
    array([[False, False]])
    """
    record = find(plan.name)
    rng = np.random.default_rng(plan.seed)
    keywords: dict[str, Any] = {**_required(record, rng), **plan.options}
    optional = [name for name, option in record.options.items() if _is_optional_array(option)]
    present = {name for name in optional if (rng.integers(2) if given is None else name in given)}
    sizes = _every_size(record, plan.sizes, plan.parts)
    draft = Draft(sizes, plan.batch, keywords, present, rng, dtype_named(plan.dtype))
    for arrange in record.arrange:
        arrange(draft)
    named, plan = plan, dataclasses.replace(plan, sizes=draft.sizes, batch=draft.batch)
    made = [name for name, option in record.options.items() if _is_made(name, option, keywords, present)]
    leading = leading_axes(record, _names(record, plan.parts), plan.batch, plan.stretch, made)
    plan = dataclasses.replace(plan, batch=leading.results)
    numbers = [
        _numbers(plan, (*axes, *_sized(plan, core)), index == 0, rng)
        for index, (axes, core) in enumerate(zip(leading.arrays, cores_of(record, plan.parts), strict=True))
    ]
    for name in made:
        value = _sized_option(record.options[name], plan, leading.options.get(name, ()), rng)
        if value is not None:
            keywords[name] = value
    known = {"dtype": plan.dtype, **keywords, **options}
    arrays = legal(record, _grouped(record, numbers, plan.parts), known)
    call = Call(plan.name, arrays, keywords)
    if plan.hidden is not None and is_dense(record) and not plan.dtype.startswith("int"):
        call = planted(call, record, float(plan.hidden))
    call = laid_out(call, plan)
    call.options.update(options)
    return Call(call.name, call.arrays, call.options, named if not options else None)


def _sized(plan: Plan, core: Core) -> tuple[int, ...]:
    return tuple(size_of(letter, plan.sizes) or 0 for letter in core)


def _is_optional_array(option: Option) -> bool:
    return isinstance(option, SIZED) and option.optional and not is_spread(option)


def _is_made(name: str, option: Option, keywords: Mapping[str, Any], present: Collection[str]) -> bool:
    """Whether the value of an option is still to be made: it depends on the sizes, and no `arrange` made it."""
    given = not option.optional or name in present or is_spread(option)
    return isinstance(option, SIZED) and name not in keywords and given


def _sized_option(option: Option, plan: Plan, leading: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Make the value of an option that depends on the sizes; None for a mask or bias that the plan leaves out."""
    if isinstance(option, Slice):
        n = plan.sizes["n"]
        start = int(rng.integers(max(n, 1)))
        return slice(start, int(rng.integers(start + 1, n + 1)) if n else 0)
    if isinstance(option, Labels) and option.permutation:
        return rng.permutation(plan.sizes[option.size or "n"]).tolist()
    if isinstance(option, Labels):
        return np.flatnonzero(rng.random(plan.sizes[option.size or "n"]) < 0.4).tolist()
    if isinstance(option, Indices):
        shape = (*leading, *_sized(plan, option.core))
        drawn = rng.integers(0, size_of(option.below, plan.sizes) if option.below else 3, shape)
        drawn = np.sort(drawn, axis=-1) if option.ordered else drawn
        return drawn.tolist() if drawn.size else drawn  # a list of nothing has lost its shape
    if isinstance(option, Partial):
        return _state(option, plan, leading, rng)
    if isinstance(option, Levels):
        return None  # a record whose calls have them makes them itself
    if isinstance(option, Integers):
        low, high = option.draw
        return tuple(rng.integers(low, high + 1, option.length or plan.parts).tolist())
    assert isinstance(option, Array)
    shape = _sized(plan, in_line(option.core, plan.parts))
    if is_spread(option):
        kind, maker = (plan.mask, mask_of) if option.boolean else (plan.bias, bias_of)
        pairs = None if kind is None else maker(kind, shape, leading, plan, rng)
        return pairs if pairs is None or option.valid is None else option.valid(pairs)
    if option.words and rng.random() < 0.5:
        return option.words[rng.integers(len(option.words))]
    if option.boolean:
        return rng.random((*leading, *shape)) < 0.5
    value = _floats(plan, (*leading, *shape), rng)
    return value if option.valid is None else option.valid(value)


def _state(option: Partial, plan: Plan, leading: tuple[int, ...], rng: np.random.Generator) -> tuple[Any, ...]:
    """Make a partial attention: a maximum, a total that is not negative, an accumulator."""
    maximum, total, accumulator = (_floats(plan, (*leading, *_sized(plan, core)), rng) for core in option.cores)
    return maximum, np.abs(total) + 1, accumulator


def _numbers(plan: Plan, shape: tuple[int, ...], first: bool, rng: np.random.Generator) -> NDArray[Any]:
    """Numbers in float64; the first array carries the magnitude of the scores."""
    if not first:
        return _floats(plan, shape, rng)
    exponent = rng.uniform()
    loudness = {"loud": 10 ** (1 + 3 * exponent), "faint": 10 ** (-5 + 2 * exponent), "negative": -30.0}
    return loudness.get(plan.magnitude, 1.0) * _floats(plan, shape, rng)


def _names(record: Record, parts: int) -> list[str]:
    """The argument's name for each array, those of groups in line."""
    names: list[str] = []
    for name, entry in zip(record.takes, parse_signature(record.signature, parts).inputs, strict=False):
        names += [name] * (len(entry) if is_group(entry) else 1)
    return names


def _floats(plan: Plan, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[Any]:
    """Numbers in float64, before they are rounded to the dtype of the call."""
    if plan.magnitude == "cauchy":
        limit = 1e2 if plan.dtype in ("float16", "bfloat16") else 1e5
        return np.clip(rng.standard_cauchy(shape), -limit, limit)
    if plan.magnitude == "ties" or plan.dtype.startswith("int"):
        return rng.integers(-2, 3, shape).astype(np.float64)
    values = rng.standard_normal(shape)
    return np.abs(values) if plan.magnitude == "negative" else values


def legal(record: Record, arrays: tuple[Any, ...], options: Mapping[str, Any]) -> tuple[Any, ...]:
    """Make of freely chosen arrays such as a formulation takes: bits, totals that are not negative."""
    if record.valid is None:
        return arrays
    known = {name: options.get(name, record.form.defaults.get(name)) for name in record.valid_by}
    return tuple(record.valid(*arrays, **known))


def _grouped(record: Record, numbers: list[NDArray[Any]], parts: int) -> tuple[Any, ...]:
    """Put the arrays of each group into a tuple."""
    rest = iter(numbers)
    return tuple(
        tuple(next(rest) for _ in entry) if is_group(entry) else next(rest)
        for entry in parse_signature(record.signature, parts).inputs
    )
