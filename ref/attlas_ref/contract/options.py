"""Kinds of options: what a keyword may be, and the range from which tests draw it.

The names are the field's own and mean the same everywhere. Each kind checks a value and returns it in the form that
the mathematics uses; its error names the function, the argument, what came and what is needed.
"""

import math
import numbers
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Option:
    """What every kind of option shares."""

    optional: bool = False
    """Whether ``None`` is a value; what it then stands for is said by the function's docstring."""

    def check(self, function: str, name: str, value: Any) -> Any:
        """Return the value in the form that the mathematics uses, or raise."""
        return None if value is None and self.optional else self._check(function, name, value)

    def _check(self, function: str, name: str, value: Any) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class Number(Option):
    """A finite real number between bounds."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    infinite: bool = False
    """Whether infinity is a value too."""
    draw: tuple[float, float] = (0.25, 4.0)
    """The range from which tests draw."""

    def _check(self, function: str, name: str, value: Any) -> float:
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value.item()
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
            raise TypeError(f"{function}: {name} is {_show(value)}; it needs {self.need}")
        number = float(value)
        below = number <= self.low if self.open_low else number < self.low
        above = number >= self.high if self.open_high else number > self.high
        finite = math.isfinite(number) or (self.infinite and number == math.inf)
        if not finite or below or above:
            raise ValueError(f"{function}: {name} is {number}; it needs {self.need}")
        return number

    @property
    def need(self) -> str:
        """The requirement in words."""
        words = "a number" if self.infinite else "a finite number"
        if self.low > -math.inf:
            words += f" {'above' if self.open_low else 'of at least'} {self.low:g}"
        if self.high < math.inf:
            words += (
                f" {'and ' if self.low > -math.inf else ''}{'below' if self.open_high else 'at most'} {self.high:g}"
            )
        return words + (" or None" if self.optional else "")


@dataclass(frozen=True)
class Integer(Option):
    """A whole number of at least ``low`` and at most ``high``."""

    low: int | None = 1
    high: int | None = None
    draw: tuple[int, int] = (1, 9)

    def _check(self, function: str, name: str, value: Any) -> int:
        ends = (("at least", self.low), ("at most", self.high))
        need = "a whole number" + " and".join(f" of {word} {end}" for word, end in ends if end is not None)
        need += " or None" if self.optional else ""
        try:
            if isinstance(value, (bool, np.bool_)):
                raise TypeError
            number = operator.index(value)
        except TypeError:
            raise TypeError(f"{function}: {name} is {_show(value)}; it needs {need}") from None
        if (self.low is not None and number < self.low) or (self.high is not None and number > self.high):
            raise ValueError(f"{function}: {name} is {number}; it needs {need}")
        return number


@dataclass(frozen=True)
class Flag(Option):
    """True or False."""

    def _check(self, function: str, name: str, value: Any) -> bool:
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{function}: {name} is {_show(value)}; it needs True or False")
        return bool(value)


@dataclass(frozen=True)
class Choice(Option):
    """One of a few words, or None where None is among them."""

    values: tuple[str | None, ...] = ()

    def _check(self, function: str, name: str, value: Any) -> str | None:
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{function}: {name} is {_show(value)}; it needs one of {self.values}")
        if value not in self.values:
            raise ValueError(f"{function}: {name} is {value!r}; it needs one of {self.values}")
        return value


@dataclass(frozen=True)
class Array(Option):
    """An array given by keyword: a mask, a bias, a learned parameter.

    With ``broadcast`` it only has to broadcast to the leading axes and its core (a mask need not fill (..., m, n));
    without, its last axes are exactly its core and its leading axes broadcast with those of the arguments.
    """

    core: tuple[str, ...] = ()
    boolean: bool = False
    broadcast: bool = False
    batched: bool = True
    """Whether it may have leading axes; most learned weights are the same for the whole batch."""
    valid: Callable[[np.ndarray], np.ndarray] | None = None
    """Makes any drawn array a legal one; tests apply it to what they draw."""
    words: tuple[str, ...] = ()
    """Words that may stand in its place."""
    shared: bool = False
    """Whether the first axis of the core may be left out: one for all."""
    widens: bool = True
    """Whether its precision has a say in that of the results; random draws and plain numbers have none."""

    def _check(self, function: str, name: str, value: Any) -> Any:
        if self.words and isinstance(value, str) and value not in self.words:
            raise ValueError(f"{function}: {name} is {value!r}; it needs an array or one of {self.words}")
        if value is None:
            raise TypeError(f"{function}: {name} is None; it needs an array")
        return value  # its shape and dtype are checked with the other arrays, in `binding`


@dataclass(frozen=True)
class Partial(Option):
    """A tuple of arrays that carries a state, such as the triple of a partial attention."""

    cores: tuple[tuple[str, ...], ...] = ()

    def _check(self, function: str, name: str, value: Any) -> Any:
        return value  # its parts are checked with the other arrays, in `binding`


@dataclass(frozen=True)
class Labels(Option):
    """Whole numbers in an array of one axis: positions, heads, dimensions."""

    size: str | None = None
    """The letter of what they count, which bounds them from above."""
    permutation: bool = False
    """Whether each number below the size stands there once; a check of the record sees to it."""

    def _check(self, function: str, name: str, value: Any) -> Any:
        array = np.asarray(value)
        if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
            raise TypeError(f"{function}: {name} is {_show(value)}; it needs a sequence of whole numbers")
        if array.size and array.min() < 0:
            raise ValueError(f"{function}: {name} holds {array.min()}; it needs numbers of at least 0")
        return array.astype(np.int64)


@dataclass(frozen=True)
class Integers(Option):
    """A tuple of whole numbers of at least ``low``: one per part of a tuple of arrays, or ``length`` of them."""

    low: int = 1
    length: int | None = None
    draw: tuple[int, int] = (1, 9)

    def _check(self, function: str, name: str, value: Any) -> tuple[int, ...]:
        count = "" if self.length is None else f"{self.length} "
        need = f"a tuple of {count}whole numbers of at least {self.low}" + (" or None" if self.optional else "")
        if not isinstance(value, (tuple, list)):
            raise TypeError(f"{function}: {name} is {_show(value)}; it needs {need}")
        numbers = tuple(Integer(low=None).check(function, f"{name}[{r}]", number) for r, number in enumerate(value))
        if min(numbers, default=self.low) < self.low or self.length not in (None, len(numbers)):
            raise ValueError(f"{function}: {name} is {numbers}; it needs {need}")
        return numbers


@dataclass(frozen=True)
class Indices(Option):
    """Whole numbers, one for each entry of a core: the block of each token, the choice of each state."""

    core: tuple[str, ...] = ()
    batched: bool = True
    """Whether it may have leading axes."""
    below: str | None = None
    """The letter of what they count, which bounds them from above."""
    ordered: bool = False
    """Whether they must not decrease along the last axis."""

    def _check(self, function: str, name: str, value: Any) -> Any:
        array = np.asarray(value)
        if array.dtype.kind not in "iu" and (array.size or array.dtype.kind not in "f"):
            raise TypeError(f"{function}: {name} is {_show(value)}; it needs whole numbers")
        if array.size and array.min() < 0:
            raise ValueError(f"{function}: {name} holds {array.min()}; it needs numbers of at least 0")
        if self.ordered and array.ndim and bool((np.diff(array.astype(np.int64), axis=-1) < 0).any()):
            raise ValueError(f"{function}: {name} decreases somewhere; it needs numbers that never do")
        return array.astype(np.int64)  # its shape is checked with the other arrays, in `binding`


@dataclass(frozen=True)
class WordOrNumber(Option):
    """One of a few words, or a number between bounds."""

    words: tuple[str, ...] = ()
    number: Number = Number()

    def _check(self, function: str, name: str, value: Any) -> str | float:
        if isinstance(value, str):
            if value not in self.words:
                raise ValueError(
                    f"{function}: {name} is {value!r}; it needs one of {self.words}, or {self.number.need}"
                )
            return value
        return self.number._check(function, name, value)


@dataclass(frozen=True)
class Levels(Option):
    """The levels of a tree, root first: a sequence of pairs, nodes (..., N_l, d) and booleans (..., N_l)."""

    width: str = "d"
    """The letter of the nodes' width."""

    def _check(self, function: str, name: str, value: Any) -> Any:
        need = "the levels of a tree: pairs of nodes and booleans, root first"
        if not isinstance(value, (tuple, list)):
            raise TypeError(f"{function}: {name} is {_show(value)}; it needs {need}")
        if len(value) < 2:
            raise ValueError(f"{function}: {name} has {len(value)} levels; it needs at least a root and leaves")
        if any(not isinstance(level, (tuple, list)) or len(level) != 2 for level in value):
            raise TypeError(f"{function}: {name} holds something else than pairs; it needs {need}")
        return tuple(tuple(level) for level in value)  # their arrays are checked with the others, in `binding`


@dataclass(frozen=True)
class Slice(Option):
    """A slice of positions."""

    def _check(self, function: str, name: str, value: Any) -> Any:
        if not isinstance(value, slice):
            raise TypeError(f"{function}: {name} is {_show(value)}; it needs a slice")
        return value


def _show(value: Any) -> str:
    if hasattr(value, "shape"):
        return f"an array of shape {tuple(value.shape)}"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"
