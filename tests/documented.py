"""What a lesson says of the defaults of its arguments, and whether it is so."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

from attlas_ref.records import Record, all_records, find


def check_defaults(name: str) -> None:
    """Compare the defaults of a formulation with those that its lesson names.

    Raises
    ------
    AssertionError
        If one differs, or a default other than None is not named.
    """
    record = find(name)
    said = dict(_said(record))
    for parameter in inspect.signature(record.reference).parameters.values():
        if parameter.default is not parameter.empty and parameter.default is not None:
            found = said.get(parameter.name)
            assert found == parameter.default, f"{name}: {parameter.name} is {parameter.default!r}, not {found!r}"


def _said(record: Record) -> Iterator[tuple[str, Any]]:
    """Each argument with the default that the lesson names: of a choice the first, where it does not say."""
    lesson = inspect.getdoc(record.reference) or ""
    for names, kind in re.findall(r"^([a-z]\w*(?:, \w+)*) : (.*)$", lesson, re.MULTILINE):
        named = re.search(r"default (.+)$", kind)
        chosen = re.match(r"\{(.+?)[,}]", kind)
        values = named[1].split(" and ") if named else [chosen[1]] if chosen else []
        each = names.split(", ")
        yield from zip(each, map(_value, values * len(each) if len(values) == 1 else values), strict=False)
    # Arguments that are handed on are those of another formulation.
    for names, others in re.findall(r"^([a-z]\w*(?:, \w+)+)\n    .*?`(\w+)`", lesson, re.MULTILINE):
        if others in {other.name for other in all_records()}:
            defaults = inspect.signature(find(others).reference).parameters
            yield from ((name, defaults[name].default) for name in names.split(", ") if name in defaults)


def _value(text: str) -> Any:
    """Read a number, a word or a flag."""
    constants = {"True": True, "False": False, "None": None}
    text = text.strip()
    if text in constants:
        return constants[text]
    top, _, bottom = text.partition("/")
    try:
        return float(top) / float(bottom or 1)
    except ValueError:
        return text.strip("\"'`")
