"""Grades one file: every rule of its exercise, the first failure in full, and a score."""

import inspect
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from attlas_ref.records import Record
from attlas_ref.testing.plan import Call

from .copies import source_of
from .diagnosis import known_mistake, likely_mistake
from .draws import Rule, rules_of
from .lawful import Broken, broken_law
from .masters import Exercise, exercise_named
from .process import PATIENCE, Gone, Limits, Reply, Student
from .search import Ask, Effort, Found, complexity, rounded_off, sample, search
from .verdict import Wrong


@dataclass(frozen=True)
class Checked:
    """One rule and whether it holds."""

    name: str
    passed: bool
    calls: int = 0


@dataclass(frozen=True)
class Failure:
    """The first thing that went wrong."""

    rule: str
    words: str
    """What is wrong, in a sentence."""
    said: str | None = None
    """The rule in words, where the exercise's option has them."""
    law: tuple[str, str] | None = None
    """The name and the statement of a law that is broken."""
    likely: str | None = None
    """The likely mistake."""
    inputs: tuple[tuple[str, Any], ...] = ()
    """The smallest call that shows it: arrays and options by name."""
    result: Any = None
    expected: Any = None
    has_result: bool = False


@dataclass
class Report:
    """What is to be said about one file."""

    file: str
    exercise: str
    title: str
    of: float
    seed: int
    rules: list[Checked] = field(default_factory=list)
    failure: Failure | None = None
    printed: str = ""
    seconds: float = 0.0

    @property
    def status(self) -> Literal["passed", "failed"]:
        """Whether every rule holds."""
        return "failed" if self.failure is not None else "passed"

    @property
    def points(self) -> float:
        """The points of the exercise, shared by its rules; none where the formula itself is wrong."""
        if not self.rules or not self.rules[0].passed:
            return 0.0
        return round(self.of * sum(rule.passed for rule in self.rules) / len(self.rules), 2)


def grade_file(
    path: Path, exercise: str | None = None, seed: int | None = None, limits: Limits | None = None
) -> Report:
    """Grade a file, a script or a notebook.

    Parameters
    ----------
    path : Path
        The file.
    exercise : str, optional
        The exercise; if not given, what the file names in its head, or its own name.
    seed : int, optional
        To draw the same calls as before; secret and new if not given.
    limits : Limits, optional
        Time and memory.

    Raises
    ------
    OSError, UnicodeDecodeError
        If the file cannot be read.
    LookupError
        If it belongs to no exercise.
    """
    source, named = source_of(path, path.read_text(encoding="utf-8"))
    return grade_source(source, path.name, exercise_named(exercise or named or path.stem), seed, limits)


def grade_source(
    source: str,
    file: str,
    exercise: Exercise,
    seed: int | None = None,
    limits: Limits | None = None,
    effort: Effort | None = None,
    function: str | None = None,
) -> Report:
    """Grade the text of a file; see `grade_file`.

    `effort` is how much is tried, `function` the name of the function if it is another one.
    """
    name = function or exercise.formulation
    seed = secrets.randbits(63) if seed is None else seed
    limits, begun = limits or Limits(), time.monotonic()
    report = Report(file, exercise.name, exercise.title, exercise.points, seed)
    # Overflow in what we compute of a student's result is no news.
    with np.errstate(all="ignore"), Student(source, file, limits, exercise.forbidden) as student:

        def ask(call: Call) -> Reply:
            by_clock, worked = time.monotonic() - begun, student.worked()
            if by_clock > PATIENCE * limits.total or (by_clock if worked is None else worked) > limits.total:
                raise Gone("time", f"The whole file took longer than {limits.total:g} seconds.")
            return student.call(name, call.arrays, call.options)

        try:
            report.failure = _unusable(student, name)
            if report.failure is None:
                _judge(report, exercise, ask, effort or Effort())
        except Gone as gone:
            report.rules = report.rules or [Checked("the formula", passed=False)]
            last = report.rules[-1]
            if last.passed:
                report.rules.append(Checked("everything else", passed=False))
            report.failure = report.failure or Failure("limits", gone.words)
    report.printed, report.seconds = student.printed, time.monotonic() - begun
    return report


def _unusable(student: Student, name: str) -> Failure | None:
    """Load the file; say what keeps it from being graded, if anything does."""
    raised = student.load()
    if raised is not None:
        return Failure("the file", f"The file cannot be loaded. {raised.error}")
    if name not in student.functions:
        return Failure("the file", f"The file has no function {name}.")
    return None


def _judge(report: Report, exercise: Exercise, ask: Ask, effort: Effort) -> None:
    """Try every rule; look into the first that fails."""
    last: list[Call] = []

    def remembering(call: Call) -> Reply:
        last[:] = [call]
        return ask(call)

    for index, rule in enumerate(rules_of(exercise)):
        try:
            found = search(exercise, rule, remembering, report.seed + index, effort, simplify=report.failure is None)
        except Gone as gone:
            report.rules.append(Checked(rule.name, passed=False))
            if report.failure is None:
                report.failure = Failure(rule.name, gone.words, inputs=inputs_of(exercise.record, last[0]))
            raise
        report.rules.append(Checked(rule.name, not found.wrong, found.calls))
        if found.wrong and report.failure is None:
            report.failure = _explained(exercise, rule, found, ask, report.seed, effort)
            if rule.name == "the formula":  # then nothing else says anything
                return
    if report.failure is None:
        broken = broken_law(exercise, remembering, report.seed, effort.law_draws)
        report.rules.append(Checked("the laws", broken is None))
        if broken is not None:
            report.failure = _unlawful(exercise, broken)


def _explained(exercise: Exercise, rule: Rule, found: Found, ask: Ask, seed: int, effort: Effort) -> Failure:
    """Everything that helps about the smallest call that went wrong."""
    wrong, broken, others = found.smallest, None, found.wrong
    assert wrong is not None
    try:
        wrong = rounded_off(wrong, ask)
        others = sample(exercise, rule, ask, seed, effort.samples)
        if wrong.kind == "values" and effort.name_a_law:
            broken = broken_law(exercise, ask, seed, effort.law_draws, rule.given)
    except Gone:  # it has shown enough before
        broken = None
    return _failure(exercise, wrong, others, rule.name, broken, words_for(exercise.record, rule.given))


def _unlawful(exercise: Exercise, broken: Broken) -> Failure:
    """A law that is broken although all drawn calls were right."""
    wrong = min(broken.wrong, key=complexity, default=None)
    if wrong is None:
        return Failure("the laws", "A law does not hold.", law=(broken.law.name, broken.law.statement))
    return _failure(exercise, wrong, broken.wrong, "the laws", broken)


def _failure(
    exercise: Exercise, wrong: Wrong, others: Sequence[Wrong], rule: str, broken: Broken | None, said: str | None = None
) -> Failure:
    reply = wrong.reply
    if reply.raised == "NotImplementedError":
        return Failure(rule, f"{exercise.formulation} is not written yet.")
    return Failure(
        rule=rule,
        words=wrong.words,
        said=said,
        law=None if broken is None else (broken.law.name, broken.law.statement),
        likely=likely_mistake(exercise, wrong, others),
        inputs=inputs_of(exercise.record, wrong.call),
        result=reply.result,
        expected=wrong.expected.low,
        has_result=reply.raised is None and reply.unsendable is None,
    )


def inputs_of(record: Record, call: Call) -> tuple[tuple[str, Any], ...]:
    """The arrays and options of a call by name."""
    return (*zip(record.takes, call.arrays, strict=True), *call.options.items())


def words_for(record: Record, option: str | None) -> str | None:
    """What the reference's docstring says about an option.

    >>> from attlas_ref.records import find
    >>> words_for(find("softmax_attention"), "causal")
    'Let query i see key j iff j <= i + n - m.'
    """
    if option is None:
        return None
    doc = inspect.getdoc(record.reference) or ""
    found = re.search(rf"^(?:\w+, )*{option}(?:, \w+)* : .*\n((?:    .*\n)+)", doc, flags=re.MULTILINE)
    return " ".join(found.group(1).split()) if found else None


def assert_right(function: Callable[..., Any], exercise: str, seed: int | None = None) -> None:
    """Grade a function in this process, for a notebook's own tests; `attlas grade` does it in another one.

    Parameters
    ----------
    function : callable
        The student's function.
    exercise : str
        The exercise.
    seed : int, optional
        To draw the same calls as before.

    Raises
    ------
    AssertionError
        At the first rule that fails, with the words for it.
    """
    chosen, seed = exercise_named(exercise), secrets.randbits(63) if seed is None else seed
    for index, rule in enumerate(rules_of(chosen)):
        found = search(chosen, rule, lambda call: _here(function, call), seed + index, Effort(), simplify=True)
        if found.smallest is not None:
            likely = known_mistake(chosen, found.smallest, found.wrong) or ""
            raise AssertionError(f"{rule.name}: {found.smallest.words}. {likely}".rstrip())


def _here(function: Callable[..., Any], call: Call) -> Reply:
    """Make a call with copies of its arguments."""
    copies = call.mapped(lambda array: array.copy())
    try:
        result = function(*copies.arrays, **copies.options)
    except Exception as error:
        return Reply(raised=type(error).__name__, message=str(error))
    if not (isinstance(result, (tuple, list)) or hasattr(result, "shape")):
        return Reply(unsendable=f"a {type(result).__name__}")
    return Reply(result=result, after=(copies.arrays, tuple(copies.options.values())))


__all__ = ["Checked", "Failure", "Report", "Wrong", "assert_right", "grade_file", "grade_source"]
