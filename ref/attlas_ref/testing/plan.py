"""What a call looks like, and the call itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGNITUDES = ("normal", "cauchy", "loud", "faint", "negative", "ties")
"""Even numbers; heavy tails; scores up to 1e4; scores near 1e-5; all scores far below 0; equal scores."""

MASKS = (None, "random", "rows", "columns", "keys", "queries", "full", "nothing", "shared")
"""Pairs at random; empty rows; empty columns; a (1, n) mask; an (m, 1) mask; all True; all False; one for all heads."""

BIASES = (None, "normal", "hides", "keys", "negative", "shared", "half")
"""Normal; with entries of -inf; a (n,) bias; about -1e4 everywhere; one for all heads; float16."""

HIDDEN = (None, "nan", "inf")
"""What stands in keys, values, queries and biases that nobody can see."""


@dataclass(frozen=True)
class Plan:
    """What a call looks like, up to the numbers."""

    name: str
    sizes: Mapping[str, int]
    """The size of each letter of the signature."""
    batch: tuple[int, ...] = ()
    stretch: tuple[int, ...] = ()
    """For each array how many of its leading axes are left out; one more than all: it has all, of size 1; two more: the
    last one has size 1. Then the same for each option that may have leading axes, or they have those of the results."""
    dtype: str = "float32"
    parts: int = 2
    """How many arrays a tuple of any number of them has."""
    layouts: tuple[str, ...] = ()
    """For each array; contiguous where none is named."""
    magnitude: str = "normal"
    mask: str | None = None
    bias: str | None = None
    hidden: str | None = None
    writeable: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options that are no arrays."""
    seed: int = 0


@dataclass(frozen=True)
class Call:
    """One call: the formulation, its positional arrays and its keywords."""

    name: str
    arrays: tuple[Any, ...]
    options: dict[str, Any]
    plan: Plan | None = None

    def by(self, function: Callable[..., Any]) -> Any:
        """Make the call through ``function(name, *arrays, **options)``."""
        return function(self.name, *self.arrays, **self.options)

    def given(self, *arrays: Any, **options: Any) -> "Call":
        """Return the same call with other arrays (all, or none) or options."""
        return Call(self.name, arrays or self.arrays, {**self.options, **options})

    def mapped(self, convert: Callable[[Any], Any]) -> "Call":
        """Return the same call with every array of real numbers converted: biases too, masks and places not."""

        def one(value: Any, kept: str) -> Any:
            if isinstance(value, tuple):
                return tuple(one(part, kept) for part in value)
            return convert(value) if hasattr(value, "dtype") and value.dtype.kind not in kept else value

        arrays = tuple(one(value, "b") for value in self.arrays)
        return Call(self.name, arrays, {key: one(value, "biu") for key, value in self.options.items()})

    def every_array(self) -> list[NDArray[Any]]:
        """All arrays, those inside of tuples and options too."""
        found = []
        for value in (*self.arrays, *self.options.values()):
            found += [part for part in (value if isinstance(value, tuple) else (value,)) if hasattr(part, "shape")]
        return found

    def __repr__(self) -> str:
        if self.plan is not None:
            return f"build({self.plan})"
        shown = {name: _brief(value) for name, value in self.options.items()}
        return f"Call({self.name}, {', '.join(map(_brief, self.arrays))}, {shown})"


def _brief(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_brief, value))})"
    return f"{value.dtype}{list(value.shape)}" if hasattr(value, "shape") else repr(value)


def dtype_named(name: str) -> np.dtype[Any]:
    """A NumPy dtype by name; bfloat16 needs the package ml_dtypes."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)
