"""What a suite is made of: cases, each with its rivals and goals, in groups.

A goal is a ratio of two times of the same run, never a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Make = Callable[[Mapping[str, int], tuple[int, ...], str], Any]
"""Takes the sizes of a call, its leading axes and its dtype."""


@dataclass(frozen=True)
class Goal:
    """To be so many times as fast as the fastest of some rivals."""

    at_least: float
    over: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """One call to be timed, beside whom, and with which goals."""

    name: str
    sizes: Mapping[str, int]
    batch: tuple[int, ...] = (8,)
    dtype: str = "float32"
    options: Mapping[str, Any] = field(default_factory=dict)
    arrays: tuple[str, ...] = ()
    """The optional arrays that the call has."""
    made: Mapping[str, Make] = field(default_factory=dict)
    """Options that depend on the sizes, and what makes them; a report gives its name."""
    checked: Literal["first", "last"] | None = None
    """Check the first or last few rows only; else all, or the last few where there are over 2,048 queries."""
    rivals: tuple[str, ...] = ("torch",)
    """Names of `peers.RIVALS`, and "softmax" for softmax attention by the same engine on the same arrays."""
    goals: tuple[Goal, ...] = (Goal(1.0, ("torch",)),)
    at_most_bytes: int | None = None
    """The most memory that the call may take beside its result."""


@dataclass(frozen=True)
class Group:
    """Cases that are told together."""

    title: str
    cases: tuple[Case, ...]
    geometric_mean: float | None = None
    """What the geometric mean of the first goals' ratios should be."""
    product_share: float | None = None
    """The share of the matrix-product rate that cases of width 64 from 2,048 queries on should reach."""
    flat_rate: float | None = None
    """What the least rate of rows per second should be, as a share of the largest."""


def square(n: int, width: int = 64, **others: int) -> dict[str, int]:
    """As many queries as keys, and one width."""
    return {"m": n, "n": n, "d": width, "e": width, **others}
