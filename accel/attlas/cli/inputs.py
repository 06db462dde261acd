"""The input of a command: read from a file, drawn, or the shipped real one; and options given as text."""

import zipfile
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from attlas_ref.contract import Array, Flag, Integer, Number, Option, bind, parse_signature
from attlas_ref.contract.signature import is_group
from attlas_ref.records import Record
from attlas_ref.testing.drawn import Call, example_call, letters_of

from .output import note
from .problem import Problem, as_problem

DTYPES = ("float16", "float32", "float64")


def checked(record: Record, call: Call) -> Call:
    """Return a call that keeps the contract, or report what is wrong with it."""
    with as_problem(TypeError, ValueError):
        bind(record, call.arrays, call.options)
    return call


def drawn(
    record: Record, size: str, batch: str, dtype: str, seed: int, options: Mapping[str, Any], default: int = 256
) -> Call:
    """Draw a call of the sizes that were asked for; rows are `default` many, everything else 64.

    Letters whose cost is a product of several stay at twice what tests draw, unless they are asked for.
    """
    usual = {letter: default if letter in "mn" else 64 for letter in letters_of(record)}
    costly = {letter: min(usual[letter], 2 * most) for letter, most in record.largest.items() if letter in usual}
    sizes = usual | costly | parse_sizes(record, size)
    leading = tuple(parse_integers(batch, "--batch"))
    rng = np.random.default_rng(seed)
    return checked(record, example_call(record.name, rng, sizes, leading, known_dtype(dtype), **options))


def from_file(record: Record, path: Path, dtype: str | None, options: Mapping[str, Any]) -> Call:
    """Read a call from an .npy or .npz file."""
    content = _load(path)
    keywords: dict[str, Any] = {}
    if isinstance(content, np.ndarray):
        arrays = _one_for_all(record, content, path)
    else:
        arrays, keywords = _by_name(record, content, path)
    call = Call(record.name, arrays, {**keywords, **options})
    if dtype is not None:
        wanted = known_dtype(dtype)
        call = call.mapped(lambda array: array.astype(wanted))
    return checked(record, call)


def _load(path: Path) -> Any:
    """One array, or a dictionary of arrays."""
    try:
        with path.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            return content if isinstance(content, np.ndarray) else {name: content[name] for name in content.files}
    except FileNotFoundError:
        raise Problem(f"{path}: there is no such file") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise Problem(f"{path}: this cannot be read as .npy or .npz ({error})") from None


def _one_for_all(record: Record, array: Any, path: Path) -> tuple[Any, ...]:
    inputs = parse_signature(record.signature).inputs
    if not inputs or any(is_group(entry) for entry in inputs):
        raise Problem(
            f"{path}: one array cannot stand for the arguments of {record.name}; give an .npz with {_expected(record)}"
        )
    return (array,) * len(inputs)


def _by_name(record: Record, content: Mapping[str, Any], path: Path) -> tuple[tuple[Any, ...], dict[str, Any]]:
    rest = dict(content)

    def take(name: str) -> Any:
        if name not in rest:
            near = get_close_matches(name, rest, n=1)
            has = ", ".join(content) or "nothing"
            hint = f"; is {near[0]} meant?" if near else ""
            raise Problem(
                f"{path}: the array {name} is missing{hint} (the file has {has}; needed: {_expected(record)})"
            )
        return rest.pop(name)

    arrays = []
    for name, entry in zip(record.takes, parse_signature(record.signature).inputs, strict=False):
        arrays.append(tuple(take(f"{name}.{part}") for part in range(len(entry))) if is_group(entry) else take(name))
    keywords = {
        name: rest.pop(name) for name, option in record.options.items() if isinstance(option, Array) and name in rest
    }
    for name in rest:
        near = get_close_matches(name, record.options, n=1)
        if near:  # an ignored mask would change the result in silence
            raise Problem(f"{path}: {record.name} takes no array {name}; is {near[0]} meant?")
    if rest:
        note(f"{path}: not an argument of {record.name} and left out: {', '.join(rest)}")
    return tuple(arrays), keywords


def _expected(record: Record) -> str:
    names: list[str] = []
    for name, entry in zip(record.takes, parse_signature(record.signature).inputs, strict=False):
        names += [f"{name}.{part}" for part in range(len(entry))] if is_group(entry) else [name]
    return ", ".join(names)


def known_dtype(name: str) -> str:
    """A dtype that the command line takes."""
    if name not in DTYPES:
        raise Problem(f"--dtype is {name!r}; it needs one of {', '.join(DTYPES)}")
    return name


def parse_integers(text: str, option: str, low: int = 0) -> list[int]:
    """Whole numbers separated by commas."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) >= low for part in parts):
        raise Problem(f"{option} is {text!r}; it needs whole numbers of at least {low}, separated by commas")
    return [int(part) for part in parts]


def parse_sizes(record: Record, text: str) -> dict[str, int]:
    """Sizes by the letters of a signature: ``m=64,n=80``."""
    letters = letters_of(record)
    sizes = {}
    for part in filter(None, text.split(",")):
        letter, equals, number = (piece.strip() for piece in part.partition("="))
        if not equals or not number.isdecimal():
            raise Problem(f"--size has {part!r}; it needs LETTER=NUMBER, as m=64,n=80")
        if letter not in letters:
            raise Problem(f"--size: {record.name} has no size {letter}; its shapes are {record.signature}")
        sizes[letter] = int(number)
    return sizes


def parse_options(record: Record, texts: Sequence[str]) -> dict[str, Any]:
    """Options given as KEY=VALUE, each in the form that the record says."""
    options = {}
    for text in texts:
        name, equals, value = (piece.strip() for piece in text.partition("="))
        if not equals:
            raise Problem(f"--option is {text!r}; it needs KEY=VALUE, as causal=true")
        if name not in record.options:
            near = get_close_matches(name, record.options, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(record.options) or 'none'}"
            raise Problem(f"--option: {record.name} has no option {name}; {hint}")
        options[name] = _parsed(record, name, record.options[name], value)
    return options


def _parsed(record: Record, name: str, option: Option, text: str) -> Any:
    if isinstance(option, Array):
        raise Problem(f"--option: {name} is an array; put it into the .npz of --input under this name")
    if text.lower() == "none":
        value: Any = None
    elif isinstance(option, Flag):
        value = {"true": True, "false": False}.get(text.lower(), text)
    elif isinstance(option, (Integer, Number)):
        value = _number(text, int if isinstance(option, Integer) else float)
    else:
        value = text
    with as_problem(TypeError, ValueError):
        return option.check(record.name, name, value)


def _number(text: str, kind: Callable[[str], Any]) -> Any:
    """The number that a text stands for; the text itself where it is none, which the option's check then reports."""
    try:
        return kind(text)
    except ValueError:
        return text
