"""Shape signatures in the manner of NumPy's generalized ufuncs: ``"(m,d),(n,d),(n,e)->(m,e)"``.

A letter is a size; the same letter is the same size wherever it stands. Leading axes are not written: they broadcast.
``{...}`` groups arrays that travel as one argument, such as the triple of a partial attention.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

Core = tuple[str, ...]


@dataclass(frozen=True)
class Signature:
    """A parsed signature: one entry per argument, a core or a group of cores, and the cores of the results."""

    inputs: tuple[Core | tuple[Core, ...], ...]
    outputs: tuple[Core, ...]


def is_group(entry: Core | tuple[Core, ...]) -> bool:
    """Whether an argument is a group of arrays rather than one array."""
    return bool(entry) and isinstance(entry[0], tuple)


def _cores(text: str) -> tuple[Core, ...]:
    return tuple(tuple(filter(None, core.split(","))) for core in re.findall(r"\(([^()]*)\)", text))


def size_of(letter: str, sizes: Mapping[str, int]) -> int | None:
    """Return the size that a letter stands for, or None if it is not known yet.

    A core may also hold a number (``1``), a multiple (``2p``) or a sum (``p+r``).

    >>> size_of("p+r", {"p": 2, "r": 3}), size_of("2p", {"p": 2}), size_of("1", {}), size_of("q", {})
    (5, 4, 1, None)
    """
    total = 0
    for term in letter.split("+"):
        factor, name = re.fullmatch(r"(\d*)([A-Za-z]\w*|)", term).groups()  # type: ignore[union-attr]
        if name and name not in sizes:
            return None
        total += int(factor or 1) * (sizes[name] if name else 1)
    return total


@cache
def parse_signature(text: str) -> Signature:
    """Parse a signature.

    >>> parse_signature("(m,d),(n,d),(n,e)->(m,e)").inputs
    (('m', 'd'), ('n', 'd'), ('n', 'e'))
    >>> parse_signature("{(m),(m)}->(m)").inputs
    ((('m',), ('m',)),)
    """
    left, arrow, right = text.replace(" ", "").partition("->")
    if not arrow:
        raise ValueError(f"a signature needs '->', got {text!r}")
    inputs: list[Core | tuple[Core, ...]] = []
    for group, single in re.findall(r"(\{[^{}]*\})|(\([^()]*\))", left):
        inputs.append(_cores(group) if group else _cores(single)[0])
    return Signature(tuple(inputs), _cores(right))
