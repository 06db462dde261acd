"""The result of grading, for people and for programs."""

import math
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np

from .grade import Failure, Report

ENTRIES = 60
"""Entries of an array that are shown; more are cut in the middle."""


def as_dict(report: Report) -> dict[str, Any]:
    """Return a report in plain types."""
    failure = report.failure
    return {
        "file": report.file,
        "exercise": report.exercise,
        "title": report.title,
        "status": report.status,
        "points": report.points,
        "of": report.of,
        "rules": [{"name": rule.name, "passed": rule.passed, "calls": rule.calls} for rule in report.rules],
        "failure": None if failure is None else _failure(failure),
        "printed": report.printed,
        "seed": report.seed,
        "seconds": round(report.seconds, 2),
    }


def _failure(failure: Failure) -> dict[str, Any]:
    law = None if failure.law is None else dict(zip(("name", "statement"), failure.law, strict=True))
    told = {"rule": failure.rule, "words": failure.words, "option": failure.said, "law": law, "likely": failure.likely}
    told["inputs"] = {name: _listed(value) for name, value in failure.inputs}
    if failure.has_result:
        told |= {"result": _listed(failure.result), "expected": _listed(failure.expected)}
    return told


def _listed(value: Any) -> Any:
    """Arrays as lists; what is not finite as text, since JSON has no word for it."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (tuple, list)):
        return [_listed(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def junit(reports: Sequence[Report]) -> str:
    """Return the reports in JUnit's XML: a suite per file, a case per rule."""
    root = ElementTree.Element("testsuites", name="attlas grade")
    for report in reports:
        names = [(rule.name, rule.passed) for rule in report.rules]
        told = report.failure
        if told is not None and told.rule not in [name for name, _ in names]:
            names.append((told.rule, False))
        counts = {"tests": str(len(names)), "failures": str(sum(not passed for _, passed in names))}
        suite = ElementTree.SubElement(root, "testsuite", counts, name=report.file, time=f"{report.seconds:.3f}")
        properties = ElementTree.SubElement(suite, "properties")
        for name, value in (("points", report.points), ("of", report.of), ("seed", report.seed)):
            ElementTree.SubElement(properties, "property", name=name, value=str(value))
        for name, passed in names:
            case = ElementTree.SubElement(suite, "testcase", classname=report.exercise, name=name)
            if not passed:
                first = told is not None and told.rule == name
                message = told.words if told is not None and first else "fails too"
                ElementTree.SubElement(case, "failure", message=_printable(message)).text = (
                    _printable("\n".join(explanation(told))) if told is not None and first else None
                )
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def gradescope(reports: Sequence[Report]) -> dict[str, Any]:
    """Return the reports as Gradescope's autograder reads them from results.json."""
    return {
        "tests": [
            {
                "name": report.title,
                "score": report.points,
                "max_score": report.of,
                "output": "\n".join(explanation(report.failure)) if report.failure else "Every rule holds.",
            }
            for report in reports
        ]
    }


def _printable(text: str) -> str:
    """Text that XML can hold: a student may print any byte."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "�" for letter in text)


def explanation(failure: Failure) -> list[str]:
    """Return the lines that say what went wrong, from the words to the likely mistake."""
    lines = [failure.words + ("" if failure.words.endswith((".", "?")) else ".")]
    if failure.inputs:
        lines += ["", "The smallest input that shows it:", *_named(failure.inputs)]
    if failure.has_result:
        lines += ["", "Your result and what is expected:", *_beside(failure.result, failure.expected)]
    if failure.said:
        lines += ["", f"The option: {failure.said}"]
    if failure.law:
        lines += ["", f"The law that it breaks, {failure.law[0]}:", f"    {failure.law[1]}"]
    if failure.likely:
        lines += ["", f"Likely mistake: {failure.likely}"]
    return lines


def _named(inputs: tuple[tuple[str, Any], ...]) -> list[str]:
    width = max(len(name) for name, _ in inputs)
    return [
        f"    {name if index == 0 else '':<{width}} {'=' if index == 0 else ' '} {line}"
        for name, value in inputs
        for index, line in enumerate(array_text(value).split("\n"))
    ]


def _beside(result: Any, expected: Any) -> list[str]:
    """The two, one under the other; the parts of a tuple by name."""
    if isinstance(expected, tuple) and isinstance(result, (tuple, list)) and len(result) == len(expected):
        names = getattr(expected, "_fields", [str(index + 1) for index in range(len(expected))])
        pairs = list(zip(names, result, expected, strict=True))
    else:
        pairs = [("", result, expected)]
    lines = []
    for name, one, other in pairs:
        label = f"{name}: " if name else ""
        lines += _named(((f"{label}yours", one), (f"{label}expected", other)))
    return lines


def array_text(value: Any) -> str:
    """A value with its numbers, as one would type it.

    >>> print(array_text(np.array([[0.5, -1.0], [2.0, 1 / 3]])))
    [[ 0.5   , -1.    ],
     [ 2.    ,  0.3333]]
    >>> array_text((np.array([1.0]), 3))
    '([1.], 3)'
    >>> array_text(np.zeros((0, 2)))
    'no numbers, of shape (0, 2)'
    """
    if isinstance(value, (tuple, list)):
        return f"({', '.join(' '.join(array_text(part).split()) for part in value)})"
    if not isinstance(value, (np.ndarray, np.generic)):
        return repr(value)
    if value.size == 0:
        return f"no numbers, of shape {value.shape}"
    large = value.size > ENTRIES
    array = np.asarray(value)
    text = np.array2string(array, separator=", ", precision=4, threshold=ENTRIES, edgeitems=2, max_line_width=90)
    kind = "" if value.dtype == np.float64 or value.dtype.kind == "b" else f" {value.dtype}"
    return text + (f", of shape {value.shape}" if large else "") + kind
