"""`attlas list` and `attlas show`: what there is, read from the records."""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.padding import Padding
from rich.text import Text

from attlas_ref.contract import (
    Array,
    Choice,
    Flag,
    Indices,
    Integer,
    Integers,
    Labels,
    Levels,
    Number,
    Option,
    Partial,
    Slice,
    WordOrNumber,
)
from attlas_ref.records import ENGINES, FAMILIES, Record, all_records, find

from .output import console, print_json, table
from .problem import Problem, as_problem

CLASSES = {
    "K": "a kernel on every engine",
    "C": "a composition of other formulations",
    "U": "a utility that exists once",
}


def record_named(name: str) -> Record:
    """The record of a formulation; an unknown name is a problem that says what may have been meant."""
    with as_problem(LookupError):
        return find(name)


def list_command(family: str | None, as_json: bool) -> None:
    """List families and formulations."""
    if family is not None and family not in FAMILIES:
        from difflib import get_close_matches

        near = get_close_matches(family, FAMILIES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(FAMILIES)}"
        raise Problem(f"no family is named {family!r}; {hint}")
    records = all_records(family)
    if as_json:
        print_json([_summary(record) for record in records])
        return
    out = console()
    grid = table("formulation", "title", "class", "engines", keep=("formulation", "class"))
    for name in FAMILIES:
        members = [record for record in records if record.family == name]
        if not members:
            continue
        grid.add_row(f"[bold]{name}[/]")
        for record in members:
            grid.add_row(f"  {record.name}", record.title, f"{record.kind}{record.tier}", _engines(record))
    out.print(grid)
    out.print()
    out.print(f"{len(records)} formulations. Engines: {', '.join(ENGINES)}.")
    out.print(f"Class: {'; '.join(f'{letter} {text}' for letter, text in CLASSES.items())}. The number is the tier.")


def show_command(name: str, as_json: bool) -> None:
    """Show one formulation."""
    record = record_named(name)
    doc = inspect.getdoc(record.reference) or ""
    about = {
        **_summary(record),
        "summary": doc.partition("\n")[0],
        "call": call_text(record),
        "options": {option: describe_option(kind) for option, kind in record.options.items()},
        "cost": cost_of(doc),
        "laws": _laws(record),
    }
    if as_json:
        print_json(about)
    else:
        _print(record, about)


def _print(record: Record, about: Mapping[str, Any]) -> None:
    out = console()
    out.print(f"[bold]{record.name}[/]: {record.title}")
    out.print(about["summary"], markup=False)
    out.print()
    facts = table("label", "text", keep=("label",), header=False)
    rows = {
        "formula": record.formula,
        "call": about["call"],
        "shapes": record.signature.replace("->", " -> "),
        "source": about["source"],
        "family": record.family,
        "class": f"{record.kind}, {CLASSES[record.kind]}; tier {record.tier}",
        "engines": _engines(record),
        "gradients": record.vjp,
        "cost": about["cost"],
    }
    for label, text in rows.items():
        if text:
            facts.add_row(label, Text(text))
    out.print(facts)
    if record.options:
        out.print("\n[bold]options[/]")
        options = table("name", "default", "what", keep=("name", "default"), header=False)
        for name, words in about["options"].items():
            options.add_row(f"  {name}", _default(record, name), words)
        out.print(options)
    if about["laws"]:
        out.print("\n[bold]laws[/]")
        for law in about["laws"]:
            out.print(Padding(Text(law["name"], style="bold"), (0, 0, 0, 2)))
            out.print(Padding(Text(law["statement"]), (0, 0, 0, 4)))


def call_text(record: Record) -> str:
    """The call in Python: names and defaults without annotations.

    >>> call_text(find("merge_attention_partials"))
    'merge_attention_partials(first, second)'
    """
    bare = [p.replace(annotation=p.empty) for p in record.python_signature.parameters.values()]
    return f"{record.name}{inspect.Signature(bare)}"


def cost_of(doc: str) -> str | None:
    """The paragraph on cost in a docstring's notes, on one line.

    >>> cost_of("Notes\\n-----\\nCost: m n d\\nmultiplications.\\n\\nMore.")
    'm n d multiplications.'
    """
    found = re.search(r"^Cost: (.*?)(?:\n\n|\Z)", doc, flags=re.DOTALL | re.MULTILINE)
    return " ".join(found.group(1).split()) if found else None


def describe_option(option: Option) -> str:
    """What an option may be, in words.

    >>> describe_option(Integer(low=1))
    'a whole number of at least 1'
    """
    if isinstance(option, Number):
        return option.need
    if isinstance(option, Integer):
        words = "a whole number" + ("" if option.low is None else f" of at least {option.low}")
    elif isinstance(option, Flag):
        words = "true or false"
    elif isinstance(option, Choice):
        words = "one of " + ", ".join(str(value) for value in option.values)
    elif isinstance(option, Array):
        shape = ", ".join(("...", *option.core))
        words = f"({shape}) {'boolean' if option.boolean else 'real'} array"
        words = " or ".join([*map(repr, option.words), words])
    elif isinstance(option, Partial):
        words = "a tuple of arrays (" + ", ".join(f"({', '.join(('...', *core))})" for core in option.cores) + ")"
    elif isinstance(option, Integers):
        count = "" if option.length is None else f"{option.length} "
        words = f"a tuple of {count}whole numbers of at least {option.low}"
    elif isinstance(option, Indices):
        limit = "at least 0" if option.below is None else f"0 to {option.below} - 1"
        words = f"({', '.join(('...', *option.core) if option.batched else option.core)}) whole numbers, {limit}"
    elif isinstance(option, WordOrNumber):
        words = " or ".join([*map(repr, option.words), option.number.need])
    elif isinstance(option, Labels):
        words = f"whole numbers from 0 to {option.size} - 1"
    elif isinstance(option, Levels):
        words = "the levels of a tree, root first: pairs of nodes and booleans"
    elif isinstance(option, Slice):
        words = "a slice of positions"
    else:
        raise TypeError(f"no words for {option}")
    return words + (" or None" if option.optional else "")


def _default(record: Record, name: str) -> str:
    default = record.python_signature.parameters[name].default
    return "required" if default is inspect.Parameter.empty else f"= {default!r}"


def _laws(record: Record) -> list[dict[str, Any]]:
    from attlas_ref.testing.laws import laws_of

    return [{"name": law.name, "statement": law.statement, "ties": list(law.ties)} for law in laws_of(record.name)]


def _engines(record: Record) -> str:
    if record.kind == "U":
        return "–"
    return "all" if record.engines == ENGINES else ", ".join(record.engines)


def _summary(record: Record) -> dict[str, Any]:
    engines: Sequence[str] = () if record.kind == "U" else record.engines
    return {
        "name": record.name,
        "family": record.family,
        "title": record.title,
        "formula": record.formula,
        "signature": record.signature,
        "class": record.kind,
        "tier": record.tier,
        "engines": list(engines),
        "source": str(record.source),
        "gradients": record.vjp,
    }
