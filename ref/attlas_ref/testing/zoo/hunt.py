"""What kills a bug: its law, with the smallest call that shows it, and whether its rows of weights still sum to one."""

import dataclasses
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import FlakyFailure

from ...contract.reference import tuple_like
from ...records import Record, find
from ..candidates import Candidate, candidates, reference_candidate
from ..checks import LAW_SIZE, check_equivalence, check_law
from ..drawn import letters_of
from ..laws import Law, all_laws
from ..laws.evaluate import BrokenLawError
from ..plan import Call
from ..strategies import calls
from .bug import Bug

EXAMPLES = 400
"""Calls that are drawn before a bug is said to live; most die of the first few."""
SIMULATED_EXAMPLES = 60
OF_ROWS = 100
"""Calls whose rows are summed: none of them ends the test."""


def law_named(name: str) -> Law:
    """Return the law of a name."""
    return next(law for law in all_laws() if law.name == name)


def candidate_of(bug: Bug) -> Candidate:
    """Return the faulty function as a candidate; for a bug in a kernel the simulated engine, while it is planted."""
    if not bug.in_a_kernel:
        return Candidate.of(bug.faulty(), bug.formulation)
    engine = next(candidate for candidate in candidates() if candidate.name == "numba-cuda-simulator")

    def call(name: str, *arrays: Any, **options: Any) -> Any:
        try:
            return engine(name, *arrays, **options)
        except OverflowError:  # of Python's own exponential, where a GPU has infinity
            return _not_a_number(find(name).reference(*arrays, **options))

    return dataclasses.replace(engine, call=call)


def _not_a_number(result: Any) -> Any:
    if isinstance(result, tuple):
        return tuple_like(result, map(_not_a_number, result))
    return np.full_like(result, np.nan)


def examples_for(bug: Bug) -> int:
    """Return how many calls to draw: simulated kernels are slow."""
    return SIMULATED_EXAMPLES if bug.in_a_kernel else EXAMPLES


def killed_by_its_law(bug: Bug, candidate: Candidate, examples: int | None = None) -> BrokenLawError | None:
    """Return how the law that the bug names is broken, for the smallest call that shows it; None where it holds."""
    try:
        draws = examples or examples_for(bug)
        check_law(candidate, law_named(bug.law), bug.formulation, draws, min(LAW_SIZE, candidate.largest))
    except BrokenLawError as broken:
        return broken
    except FlakyFailure as flaky:  # threads that race do not do so twice
        return next(error for error in flaky.exceptions if isinstance(error, BrokenLawError))
    return None


def killed_by_equivalence(bug: Bug, candidate: Candidate, examples: int | None = None) -> bool:
    """Whether comparing it with the reference kills the bug."""
    try:
        check_equivalence(candidate, bug.formulation, examples or examples_for(bug))
    except (AssertionError, FlakyFailure):
        return True
    return False


def rows_sum_to_one(bug: Bug, candidate: Candidate, examples: int | None = None) -> bool | None:
    """Whether the bug passes the test that everybody writes: rows of weights sum to one. None where it has no rows.

    The test is given more than it usually gets: the calls of the equivalence, with masks, loud scores and odd sizes.
    Rows are the weights if they are returned and no kernel fuses them away, the outputs for values of ones if there are
    values, else the last axis of each result that always sums to one, or to zero, in the right answer.
    """
    record, by_place = find(bug.formulation), dict[int, list[tuple[Any, Any]]]()
    one = {name: False for name in record.options if name.startswith("return_") or name == "log"}

    @settings(
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        max_examples=examples or min(OF_ROWS, examples_for(bug)),
    )
    @given(calls(bug.formulation, dtypes=("float32", "float64"), largest=candidate.largest, plain=True, fixed=one))
    def add_rows(call: Call) -> None:
        with np.errstate(all="ignore"):
            pairs = zip(
                *(_rows(record, call, who, bug.in_a_kernel) for who in (reference_candidate(), candidate)), strict=True
            )
            for place, (right, wrong) in enumerate(pairs):
                by_place.setdefault(place, []).append((right, np.broadcast_to(wrong, right.shape)))

    add_rows()
    judged = [pairs for pairs in by_place.values() if all(_is_rows(right) for right, _ in pairs)]
    sums = [wrong[np.isclose(right, 1)] for pairs in judged for right, wrong in pairs]
    return bool(np.allclose(np.concatenate(sums), 1)) if sum(map(np.size, sums)) else None


def _is_rows(sums: Any) -> bool:
    """Whether all are 1, or 0 where nothing is visible."""
    return bool((np.isclose(sums, 1) | (sums == 0) | np.isnan(sums)).all())


def _rows(record: Record, call: Call, candidate: Candidate, fused: bool) -> list[Any]:
    """The sums of everything that may be a row of weights."""
    if record.returns_weights and not fused:
        weights = np.asarray(call.given(return_weights=True).by(candidate).weights, np.float64)
        parts = 2 if call.plan is None else call.plan.parts
        axes = sum(letter.startswith("n_") for letter in letters_of(record, parts))  # of the keys of a tuple
        return [weights.sum(axis=tuple(range(-max(axes, 1), 0)))]
    if "grad_output" in record.takes:
        return []
    if "value" in record.takes:
        place = record.takes.index("value")
        call = call.given(*call.arrays[:place], np.ones_like(call.arrays[place]), *call.arrays[place + 1 :])
        return [np.asarray(_parts(call.by(candidate))[0], np.float64)]
    results = [np.asarray(part, np.float64) for part in _parts(call.by(candidate))]
    return [result.sum(axis=-1) if result.ndim else result for result in results]


def _parts(result: Any) -> tuple[Any, ...]:
    return tuple(part for one in result for part in _parts(one)) if isinstance(result, tuple) else (result,)
