"""Looks for the smallest call that a function gets wrong."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, given, reject, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException

from attlas_ref.testing.plan import Call
from attlas_ref.testing.strategies import BYTES

from .draws import Rule, call_of
from .masters import Exercise
from .process import Reply
from .verdict import Expected, Wrong, judge


@dataclass(frozen=True)
class Effort:
    """How much is tried."""

    draws: int = 25
    """Calls per rule."""
    simulated_draws: int = 5
    """The same for a kernel that is simulated thread by thread."""
    law_draws: int = 3
    """Calls per law."""
    shrinking: float = 5.0
    """Seconds to look for a simpler call."""
    samples: int = 12
    """Calls on which the likely mistake is tried too."""
    name_a_law: bool = True
    """Whether a law is looked for that says what is wrong."""


Ask = Callable[[Call], Reply]
"""Makes a call of the student's function."""


class _Enough(BaseException):
    """Ends the search for a simpler call."""


class _Failed(Exception):
    """Says to Hypothesis that a call has failed."""


@dataclass
class Found:
    """What the calls of one rule have shown."""

    calls: int = 0
    wrong: list[Wrong] = field(default_factory=list)

    @property
    def smallest(self) -> Wrong | None:
        """The simplest of the calls that went wrong."""
        return min(self.wrong, key=complexity, default=None)


def search(exercise: Exercise, rule: Rule, ask: Ask, number: int, effort: Effort, simplify: bool) -> Found:
    """Draw calls of a rule until one goes wrong, and then simpler ones.

    Parameters
    ----------
    exercise, rule : Exercise, Rule
        What is drawn.
    ask : callable
        Makes the call.
    number : int
        The seed.
    effort : Effort
        How many calls, and how long to look for a simpler one.
    simplify : bool
        Whether to look for a simpler call once one has gone wrong.
    """
    found, until = Found(), [float("inf")]

    def check(drawn: bytes) -> None:
        if time.monotonic() > until[0]:
            raise _Enough
        try:
            expected = Expected.of(call_of(drawn, exercise, rule))
        except (ValueError, TypeError):
            reject()
        found.calls += 1
        wrong = judge(expected, ask(expected.call))
        if wrong is not None:
            until[0] = min(until[0], time.monotonic() + effort.shrinking)
            found.wrong.append(wrong)
            raise _Failed

    run = given(st.binary(min_size=BYTES, max_size=BYTES))(check)
    phases = [Phase.generate, Phase.shrink] if simplify else [Phase.generate]
    run = settings(
        max_examples=effort.simulated_draws if exercise.simulated else effort.draws,
        phases=phases,
        deadline=None,
        database=None,
        derandomize=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )(seed(number)(run))
    try:
        run()
    except (_Failed, _Enough, HypothesisException):  # the last: a function that does not do the same twice
        if not found.wrong:
            raise
    return found


def sample(exercise: Exercise, rule: Rule, ask: Ask, number: int, draws: int) -> list[Wrong]:
    """Return what goes wrong in calls drawn at random: more kinds of it than the search for the smallest has seen."""
    rng, wrong = np.random.default_rng(number), []
    for _ in range(draws):
        try:
            expected = Expected.of(call_of(rng.bytes(BYTES), exercise, rule))
        except (ValueError, TypeError):
            continue
        found = judge(expected, ask(expected.call))
        wrong += [] if found is None else [found]
    return wrong


def rounded_off(wrong: Wrong, ask: Ask) -> Wrong:
    """Return the same call with numbers of few digits, if it still goes wrong in the same way."""
    for digits in (0, 1, 2):
        call = wrong.call.mapped(functools.partial(_round, digits=digits))
        try:
            again = judge(Expected.of(call), ask(call))
        except (ValueError, TypeError):
            continue
        if again is not None and again.kind == wrong.kind:
            return again
    return wrong


def _round(array: Any, digits: int) -> Any:
    with np.errstate(all="ignore"):
        return np.round(array, digits) + 0.0 if array.dtype.kind == "f" else array


def complexity(wrong: Wrong) -> tuple[float, ...]:
    """Fewer numbers are simpler, then fewer options, then smaller numbers."""
    call = wrong.call
    arrays = call.every_array()
    return (
        float(sum(array.size for array in arrays)),
        float(sum(array.ndim for array in arrays)),
        float(len(call.options)),
    )
