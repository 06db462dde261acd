"""What a law is: a statement, the formulations that it ties, and a check that states it in NumPy."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ...records import Record, all_records, find
from ..plan import Call

Evaluate = Callable[..., Any]
"""``f("softmax_attention", *arrays, **options)``: a candidate, or the reference in some precision."""


@dataclass(frozen=True)
class Relation:
    """What must hold between two arrays."""

    kind: Literal["equal", "same", "at most"]
    left: Any
    right: Any


def equal(left: Any, right: Any) -> Relation:
    """Equal up to rounding: no further apart than the budgets of both sides together."""
    return Relation("equal", left, right)


def same(left: Any, right: Any) -> Relation:
    """The same numbers exactly."""
    return Relation("same", left, right)


def at_most(left: Any, right: Any) -> Relation:
    """Entry by entry left <= right, up to the budgets of both sides."""
    return Relation("at most", left, right)


Check = Callable[[Evaluate, Call, np.random.Generator], "Relation | tuple[Relation, ...]"]


@dataclass(frozen=True)
class Law:
    """One theorem.

    The check gets an evaluator `f`, a drawn call and a generator, and returns relations. It is run several times with
    the same draws: with the candidate, and with the reference in float64 and in Monte Carlo arithmetic, from which the
    budgets of both sides follow. So it must compute everything from `f`, the call and the generator.
    """

    name: str
    statement: str
    """The mathematics, in one line of plain text."""
    subjects: tuple[str, ...]
    """The formulations of which calls are drawn."""
    ties: tuple[str, ...]
    """The other formulations that it speaks of."""
    check: Check
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Options that are given instead of drawn."""
    least: Mapping[str, int] = field(default_factory=dict)
    """The least size of letters."""
    dtypes: Collection[str] = ("float32", "float64")

    def tied_with(self, subject: str) -> tuple[str, ...]:
        """The formulations that one of its cases evaluates."""
        return (subject, *self.ties)

    def fixed_for(self, subject: str) -> dict[str, Any]:
        """The options of a subject that are given instead of drawn; one result unless the law says otherwise."""
        options = find(subject).options
        single = {name: False for name in options if name.startswith("return_")}
        return single | {name: value for name, value in self.fixed.items() if name in options}


_LAWS: dict[str, Law] = {}


def law(
    subjects: str | tuple[str, ...],
    *,
    statement: str,
    ties: tuple[str, ...] = (),
    fixed: Mapping[str, Any] | None = None,
    least: Mapping[str, int] | None = None,
) -> Callable[[Check], Law]:
    """Make a law of a check; it is named after the function."""

    def make(check: Check) -> Law:
        name = check.__name__
        if name in _LAWS:
            raise ValueError(f"two laws are named {name}")
        each = (subjects,) if isinstance(subjects, str) else subjects
        _LAWS[name] = Law(name, statement, each, ties, check, fixed or {}, least or {})
        return _LAWS[name]

    return make


def registered() -> tuple[Law, ...]:
    """Every law that has been made so far."""
    return tuple(_LAWS.values())


def names_where(condition: Callable[[Record], bool]) -> tuple[str, ...]:
    """The formulations whose records fulfill a condition."""
    return tuple(record.name for record in all_records() if condition(record))
