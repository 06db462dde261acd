"""Checks a student's function by the laws, those that can be stated with the options of the exercise."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from attlas_ref.records import find
from attlas_ref.testing.drawn import build
from attlas_ref.testing.laws import Law, laws_of
from attlas_ref.testing.laws.evaluate import judge as judge_law
from attlas_ref.testing.plan import Call
from attlas_ref.testing.strategies import BYTES, plan_of

from .draws import SIMULATED_SIZE, is_required, restricted
from .masters import Exercise
from .search import Ask
from .verdict import ALLOWANCE, Expected, Wrong, judge, shaped_like

SIZE = 5
"""The largest size in a law."""
MOST = 12
"""Laws that are tried; those that draw calls of the formulation itself come first."""


@dataclass(frozen=True)
class Broken:
    """A law that a function does not keep."""

    law: Law
    wrong: tuple[Wrong, ...]
    """The calls of it that went wrong on the way."""


class _NotTaken(Exception):
    """A law asks for something that the exercise leaves out."""


def broken_law(exercise: Exercise, ask: Ask, number: int, draws: int, about: str | None = None) -> Broken | None:
    """Return a law that the function breaks; None if it keeps all.

    Parameters
    ----------
    exercise : Exercise
        Whose laws are tried.
    ask : callable
        Makes a call of the student's function.
    number : int
        The seed.
    draws : int
        How many calls per law.
    about : str, optional
        The option that a law should best speak of.
    """
    name, tried = exercise.formulation, 0
    for law in sorted(laws_of(name), key=lambda law: (name not in law.subjects, not _speaks_of(law, about))):
        for subject in law.subjects:
            if name not in law.tied_with(subject) or tried == MOST:
                continue
            try:
                broken = _broken(law, subject, exercise, ask, number, draws)
            except (_NotTaken, ValueError, TypeError, ZeroDivisionError, AttributeError, IndexError):
                continue  # it cannot be stated here
            tried += 1
            if broken is not None:
                return broken
    return None


def _speaks_of(law: Law, option: str | None) -> bool:
    return option is not None and (option in law.name or option in law.statement or option in law.fixed)


def _broken(law: Law, subject: str, exercise: Exercise, ask: Ask, number: int, draws: int) -> Broken | None:
    rng = np.random.default_rng([number, len(law.name)])
    wrong: list[Wrong] = []
    for _ in range(draws):
        try:
            call = _call(law, subject, exercise, rng.bytes(BYTES))
            judge_law(_evaluator(exercise, ask, wrong), law, call, ALLOWANCE)
        except AssertionError as error:
            return Broken(law, tuple(wrong)) if "breaks the law" in str(error) else None
        except _Failed:
            return Broken(law, tuple(wrong))
    return None


class _Failed(Exception):
    """The student's function has no result for a call of a law."""


def _call(law: Law, subject: str, exercise: Exercise, drawn: bytes) -> Call:
    fixed = law.fixed_for(subject)
    most = SIMULATED_SIZE if exercise.simulated else SIZE
    plan = plan_of(drawn, subject, dtypes=("float64",), largest=most, least=law.least, fixed=fixed, plain=True)
    plan = dataclasses.replace(
        plan, layouts=(), magnitude="normal", stretch=plan.stretch if exercise.broadcast else (), writeable=True
    )
    if subject != exercise.formulation:
        return build(plan)
    parameters = exercise.record.python_signature.parameters
    needed = [name for name, value in fixed.items() if value != parameters[name].default]
    if not all(name in exercise.options or is_required(exercise, name) for name in needed):
        raise _NotTaken
    spare = iter(reversed(drawn))
    return restricted(plan, exercise, exercise.options, None, lambda: next(spare))


def _evaluator(exercise: Exercise, ask: Ask, wrong: list[Wrong]) -> Any:
    """Evaluates the student's function for its own name, references for all others; keeps what goes wrong."""
    record = exercise.record

    def evaluate(name: str, *arrays: Any, **options: Any) -> Any:
        if name != record.name:
            return find(name).reference(*arrays, **options)
        defaults = {key: parameter.default for key, parameter in record.python_signature.parameters.items()}
        given = {key: value for key, value in options.items() if value is not None and value is not defaults[key]}
        if not all(key in exercise.options or is_required(exercise, key) for key in given):
            raise _NotTaken
        if not exercise.hidden and any(map(_is_no_number, (*arrays, *given.values()))):
            raise _NotTaken
        call = Call(name, tuple(map(_in_memory, arrays)), {key: _in_memory(value) for key, value in given.items()})
        expected, reply = Expected.of(call), ask(call)
        found = judge(expected, reply)
        if found is not None:
            wrong.append(found)
            if found.kind in ("raised", "form"):
                raise _Failed
        return shaped_like(expected.low, reply.result)

    return evaluate


def _is_no_number(value: Any) -> bool:
    """Whether there is a NaN, which `hidden` announces behind masks."""
    return isinstance(value, np.ndarray | np.floating) and bool(np.isnan(value).any())


def _in_memory(value: Any) -> Any:
    """Numbers that a law has made, as the process takes them."""
    return np.asarray(value) if isinstance(value, np.generic) else value
