"""Shape signatures in the manner of NumPy's generalized ufuncs: ``"(m,d),(n,d),(n,e)->(m,e)"``.

A letter is a size; the same letter is the same size wherever it stands. Leading axes are not written: they broadcast.
``{...}`` groups arrays that travel as one argument, such as the triple of a partial attention. A group whose letters
have the index ``_r``, ``{(n_r,d)}``, is a tuple of any number p of such arrays, whose sizes are n_1, ..., n_p. Outside
of a group ``n_r`` stands for n_1, ..., n_p in line and ``n_r*`` for their product.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

Core = tuple[str, ...]

INDEX = "_r"
"""Ends a letter whose size differs from part to part of a tuple."""


@dataclass(frozen=True)
class Signature:
    """A parsed signature: one entry per argument, a core or a group of cores, and the cores of the results."""

    inputs: tuple[Core | tuple[Core, ...], ...]
    outputs: tuple[Core | tuple[Core, ...], ...]


def is_group(entry: Core | tuple[Core, ...]) -> bool:
    """Whether an argument is a group of arrays rather than one array."""
    return bool(entry) and isinstance(entry[0], tuple)


def is_open(entry: Core | tuple[Core, ...]) -> bool:
    """Whether an argument is a tuple of any number of arrays of one form.

    >>> is_open((("n_r", "d"),)), is_open((("m",), ("m",)))
    (True, False)
    """
    return is_group(entry) and any(letter.endswith(INDEX) for letter in entry[0])


def in_line(core: Core, parts: int) -> Core:
    """Write the sizes of all parts of a tuple in place of their common letter.

    >>> in_line(("m", "n_r"), 2), in_line(("n_r*", "d"), 2)
    (('m', 'n_1', 'n_2'), ('n_1*n_2', 'd'))
    """
    letters: list[str] = []
    for letter in core:
        each = [letter.rstrip("*").removesuffix(INDEX) + f"_{r}" for r in range(1, parts + 1)]
        letters += each if letter.endswith(INDEX) else ["*".join(each)] if letter.endswith(INDEX + "*") else [letter]
    return tuple(letters)


def with_parts(entry: Core | tuple[Core, ...], parts: int) -> Core | tuple[Core, ...]:
    """Return an argument or result for tuples of `parts` arrays.

    >>> with_parts((("n_r", "d"),), 2)
    (('n_1', 'd'), ('n_2', 'd'))
    """
    if not is_group(entry):
        return in_line(entry, parts)  # type: ignore[arg-type]
    if not is_open(entry):
        return entry
    return tuple(
        tuple(letter.removesuffix(INDEX) + f"_{r}" if letter.endswith(INDEX) else letter for letter in entry[0])
        for r in range(1, parts + 1)
    )


def _cores(text: str) -> tuple[Core, ...]:
    return tuple(tuple(filter(None, core.split(","))) for core in re.findall(r"\(([^()]*)\)", text))


def size_of(letter: str, sizes: Mapping[str, int]) -> int | None:
    """Return the size that a letter stands for, or None if it is not known yet.

    A core may also hold a number (``1``), a multiple (``2p``), a sum (``p+r``), a product (``n_1*n_2``) or what lies
    between (``n-1``), which is 0 where there is nothing.

    >>> size_of("p+r", {"p": 2, "r": 3}), size_of("2p", {"p": 2}), size_of("1", {}), size_of("q", {})
    (5, 4, 1, None)
    >>> size_of("n_1*n_2", {"n_1": 2, "n_2": 3})
    6
    >>> size_of("n-1", {"n": 4}), size_of("n-1", {"n": 0})
    (3, 0)
    """
    if letter.isidentifier():  # the usual one
        return sizes.get(letter)
    letter, _, less = letter.partition("-")
    if "*" in letter:
        factors = [size_of(factor, sizes) for factor in letter.split("*")]
        return None if None in factors else math.prod(factors)  # type: ignore[arg-type]
    total = 0
    for term in letter.split("+"):
        factor, name = re.fullmatch(r"(\d*)([A-Za-z]\w*|)", term).groups()  # type: ignore[union-attr]
        if name and name not in sizes:
            return None
        total += int(factor or 1) * (sizes[name] if name else 1)
    return max(0, total - int(less)) if less else total


@cache
def parse_signature(text: str, parts: int | None = None) -> Signature:
    """Parse a signature; with `parts`, for tuples of so many arrays.

    >>> parse_signature("(m,d),(n,d),(n,e)->(m,e)").inputs
    (('m', 'd'), ('n', 'd'), ('n', 'e'))
    >>> parse_signature("{(m),(m)}->(m)").inputs
    ((('m',), ('m',)),)
    >>> parse_signature("(m,d),{(n_r,d)}->(m,n_r)", 2).inputs
    (('m', 'd'), (('n_1', 'd'), ('n_2', 'd')))
    """
    if parts is not None:
        both = parse_signature(text)
        inputs, outputs = ([with_parts(entry, parts) for entry in side] for side in (both.inputs, both.outputs))
        return Signature(tuple(inputs), tuple(outputs))
    left, arrow, right = text.replace(" ", "").partition("->")
    if not arrow:
        raise ValueError(f"a signature needs '->', got {text!r}")
    return Signature(_entries(left), _entries(right))


def _entries(text: str) -> tuple[Core | tuple[Core, ...], ...]:
    found = re.findall(r"(\{[^{}]*\})|(\([^()]*\))", text)
    return tuple(_cores(group) if group else _cores(single)[0] for group, single in found)
