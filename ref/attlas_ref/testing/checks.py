"""The checks that a candidate has to pass, ready to be called."""

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..contract import parse_signature
from ..records import all_records, find
from . import budget
from .candidates import Candidate
from .laws import laws_of
from .laws.evaluate import judge
from .laws.law import Law
from .plan import Call
from .remembered import remembered
from .strategies import DTYPES, calls
from .tally import TALLY

LAW_SIZE = 9
"""The largest size in a law: what happens at the edges of blocks is for the equivalence to see."""


def _settings(max_examples: int | None) -> settings:
    """The profile that is loaded, without a time limit per case; kernels compile at their first."""
    unhurried = settings(deadline=None, suppress_health_check=list(HealthCheck), report_multiple_bugs=False)
    return settings(unhurried, max_examples=max_examples) if max_examples else unhurried


def check_equivalence(candidate: Candidate, name: str, max_examples: int | None = None) -> None:
    """Compare a candidate with the reference on drawn calls.

    Parameters
    ----------
    candidate : Candidate
        What is judged.
    name : str
        The formulation.
    max_examples : int, optional
        How many calls to draw; Hypothesis's own setting if not given.

    Raises
    ------
    AssertionError
        At the first difference, with the smallest call that shows it.
    """

    @_settings(max_examples)
    @given(equivalence_calls(candidate, name))
    def check(call: Call) -> None:
        compare(candidate, call)

    check()


def equivalence_calls(candidate: Candidate, name: str) -> st.SearchStrategy[Call]:
    """Return the strategy of the calls that a candidate is compared on."""
    return calls(name, dtypes=DTYPES, largest=candidate.largest)


def check_laws(candidate: Candidate, name: str, max_examples: int | None = None) -> None:
    """Check every law that ties the formulation `name`, on drawn calls."""
    for law in laws_of(name):
        for subject in law.subjects:
            if name in law.tied_with(subject):
                check_law(candidate, law, subject, max_examples)


def check_law(
    candidate: Candidate, law: Law, subject: str, max_examples: int | None = None, largest: int | None = None
) -> None:
    """Check one law on drawn calls of the formulation `subject`, with sizes up to `largest`."""

    @_settings(max_examples)
    @given(law_calls(candidate, law, subject, largest))
    def check(call: Call) -> None:
        obey(candidate, law, call)

    check()


def law_calls(candidate: Candidate, law: Law, subject: str, largest: int | None = None) -> st.SearchStrategy[Call]:
    """Return the strategy of the calls that a law is checked on, with sizes up to `largest`."""
    return calls(
        subject,
        dtypes=law.dtypes,
        largest=min(LAW_SIZE, candidate.largest // 2) if largest is None else largest,
        least=law.least,
        fixed=law.fixed_for(subject),
        plain=True,
    )


def obey(candidate: Candidate, law: Law, call: Call) -> None:
    """Check one law on one call, and count it."""
    judge(candidate, law, call)
    TALLY.count(candidate.name, law.tied_with(call.name), law.name)


def compare(candidate: Candidate, call: Call) -> None:
    """Compare one call with the reference.

    Raises
    ------
    AssertionError
        If the error is above its budget, form, shape or dtype of the results differ, or an input was modified.
    """
    before = [array.tobytes() for array in call.every_array()]
    actual = call.by(candidate)
    if before != [array.tobytes() for array in call.every_array()]:
        raise AssertionError(f"{candidate}: {call} has modified its inputs")
    what = call.name, call.arrays, call.options
    high, lows = remembered(lambda: budget.high_and_lows(*what), id(find(call.name).reference), *what)
    _same_form(actual, lows[0], f"{candidate}: {call}")
    budget.assert_within_budget(actual, high, lows, what=f"{candidate}: {call}")
    TALLY.count(candidate.name, [call.name])


def _same_form(actual: Any, expected: Any, what: str) -> None:
    """Compare the types of the results: one array, or a named tuple of arrays."""
    if type(actual) is not type(expected):
        raise AssertionError(f"{what} returns {type(actual).__name__}; it needs {type(expected).__name__}")
    if isinstance(actual, tuple):
        if len(actual) != len(expected):
            raise AssertionError(f"{what} returns {len(actual)} arrays; it needs {len(expected)}")
        for one, other in zip(actual, expected, strict=True):
            _same_form(one, other, what)
    elif not isinstance(actual, np.ndarray):
        raise AssertionError(f"{what} returns {type(actual).__name__}; it needs arrays")


def formulations(candidate: Candidate) -> list[str]:
    """The formulations that a candidate computes and whose calls can be drawn, in reading order."""
    names = [record.name for record in all_records() if parse_signature(record.signature).inputs]
    return [name for name in names if candidate.covers(name)]
