"""Judges a candidate by a law."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...contract.reference import tuple_like
from ...records import find
from .. import budget
from ..lows import MORE, Lows, least_error
from ..plan import Call
from ..remembered import remembered
from ..stochastic import noisy
from .law import Evaluate, Law, Relation

LOWS = 5
"""Evaluations of a law in the precision of the call; both sides have their own errors, so fewer do than for a call."""


class BrokenLawError(AssertionError):
    """A law that does not hold, with the call and the relation that show it."""

    def __init__(self, message: str, call: Call, relation: Relation) -> None:
        super().__init__(message)
        self.call, self.relation = call, relation


def judge(candidate: Evaluate, law: Law, call: Call, allowance: float = 1.0) -> None:
    """Check one law on one call; `allowance` is how many budgets the two sides may be apart.

    Raises
    ------
    BrokenLawError
        If the relation does not hold for the candidate.
    """
    seed = 0 if call.plan is None else call.plan.seed
    actual = _relations(law, candidate, call, seed)
    if all(relation.kind == "same" for relation in actual):
        highs, lows = actual, Lows(iter([actual]), count=1)
    else:
        what = law.name, id(law.check), call.name, call.arrays, call.options, seed
        highs, lows = remembered(lambda: _highs_and_lows(law, call, seed), *what)
    for index, relation in enumerate(actual):
        error = _least(relation, highs, lows, index)
        if not error <= allowance:
            which = f" (relation {index + 1})" if len(actual) > 1 else ""
            raise BrokenLawError(
                f"{candidate} breaks the law {law.name}{which}: {law.statement}\n"
                f"by {error:.3g} budgets ({relation.kind}) for {call}",
                call,
                relation,
            )


def _highs_and_lows(law: Law, call: Call, seed: int) -> tuple[tuple[Relation, ...], Lows]:
    """The law for the reference in float64, and several times in the precision of the call."""

    def evaluations() -> Iterator[tuple[Relation, ...]]:
        yield _relations(law, _reference, call, seed)
        for run in range(MORE * LOWS - 1):
            yield _noisy_relations(law, call, seed, np.random.default_rng([seed, run]))

    highs = _relations(law, _reference, call.mapped(lambda array: np.asarray(array, dtype=np.float64)), seed)
    return highs, Lows(evaluations(), LOWS, MORE * LOWS)


def _least(relation: Relation, highs: tuple[Relation, ...], lows: Lows, index: int) -> float:
    """The error of one relation, in budgets."""
    return least_error(lambda some: _error(relation, highs[index], [low[index] for low in some]), lows)


def _relations(law: Law, f: Evaluate, call: Call, seed: int) -> tuple[Relation, ...]:
    with np.errstate(all="ignore"):
        found = law.check(f, call, np.random.default_rng(seed))
    return found if isinstance(found, tuple) else (found,)


def _reference(name: str, *arrays: Any, **options: Any) -> Any:
    return find(name).reference(*arrays, **options)


def _noisy_relations(law: Law, call: Call, seed: int, rng: np.random.Generator) -> tuple[Relation, ...]:
    """The law in Monte Carlo arithmetic: each formulation in it, and what the law itself computes."""

    def f(name: str, *arrays: Any, **options: Any) -> Any:
        if not hasattr(find(name).reference, "__wrapped__"):
            return _reference(name, *arrays, **options)
        return _noisy(budget.monte_carlo(find(name), arrays, options, rng), rng)

    arrays = budget.noisy_arrays(find(call.name), call.arrays, rng)
    options = Call(call.name, (), call.options, call.plan).mapped(lambda array: noisy(array, rng))
    return _relations(law, f, options.given(*arrays), seed)


def _noisy(result: Any, rng: np.random.Generator) -> Any:
    """One array, or tuples of arrays within each other."""
    if isinstance(result, tuple):
        return tuple_like(result, (_noisy(part, rng) for part in result))
    return noisy(result, rng)


def _error(relation: Relation, high: Relation, lows: list[Relation]) -> float:
    left, right = np.asarray(relation.left), np.asarray(relation.right)
    if relation.kind == "same":
        return 0.0 if np.array_equal(left, right, equal_nan=True) else np.inf
    if relation.kind == "equal" and left.shape != right.shape:
        raise AssertionError(f"the two sides of a law have the shapes {left.shape} and {right.shape}")
    bound = budget.budget(high.left, [np.asarray(low.left) for low in lows]) + budget.budget(
        high.right, [np.asarray(low.right) for low in lows]
    )
    judged = budget.agreeing(high.left, [low.left for low in lows]) & budget.agreeing(
        high.right, [low.right for low in lows]
    )
    left, right = left.astype(np.float64), right.astype(np.float64)
    with np.errstate(invalid="ignore"):
        error = left - right if relation.kind == "at most" else np.abs(left - right)
    agree = (left == right) | (np.isnan(left) & np.isnan(right))  # infinities of one sign, NaN on both sides
    error = np.where(agree, 0, np.where(np.isnan(error), np.inf, np.maximum(error, 0)))
    error, bound = np.broadcast_arrays(np.where(judged, error, 0), bound)
    ratio = np.where(error > 0, np.inf, 0.0)
    with np.errstate(over="ignore"):
        np.divide(error, bound, out=ratio, where=bound > 0)
    return float(ratio.max(initial=0))
