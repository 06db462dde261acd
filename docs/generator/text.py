"""Pieces of Markdown made from records and docstrings."""

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterable

from attlas_ref import visibility
from attlas_ref.records import Record, Source, all_records, find

KINDS = {"K": "a kernel on every engine", "C": "composed of accelerated functions", "U": "exists once, in NumPy"}


def summary(record: Record) -> str:
    """Return the docstring's first line."""
    return _doc(record).partition("\n")[0]


def formula(record: Record) -> str:
    """Return the docstring's first display formula, or the record's line of plain text where it has none."""
    found = re.search(r"\$\$.*?\$\$", _doc(record), re.DOTALL)
    return found[0] if found else f"`{record.formula}`"


def cost(record: Record) -> str:
    """Return what the docstring says about time and memory, one sentence; empty where it says nothing."""
    found = re.search(r"^Cost: (.*?\.)\s", _doc(record) + "\n", re.DOTALL | re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def idea(record: Record) -> str:
    """Return the lesson above the function: the docstring of its module, with links to the other formulations.

    Where several formulations share a module, it stands on the page of the one that the module is named after, or, if
    it is named after none, on each of theirs.
    """
    if record.file in {other.name for other in all_records()} - {record.name}:
        return f"Told with [`{record.file}`]({address(record.file, record)}#the-idea)."
    lesson = inspect.getdoc(importlib.import_module(f"attlas_ref.{record.module}")) or ""
    headline, _, rest = linked(lesson, record).partition("\n\n")
    return f"**{headline}**\n\n{rest}"


def code(record: Record) -> str:
    """Return the reference's code: the function without its docstring, and what it uses of its own file."""
    source = _source(inspect.unwrap(record.reference))
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.FunctionDef)
    lesson = definition.body[0]
    lines = source.splitlines()
    body = "\n".join(lines[: lesson.lineno - 1] + lines[lesson.end_lineno :])
    formulations = {other.name for other in all_records()}
    module = importlib.import_module(f"attlas_ref.{record.module}")
    helpers = [
        _source(function)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and name not in formulations and f"{name}(" in body
    ]
    return "\n\n\n".join([body, *helpers])


def shared_code(record: Record) -> str:
    """Return a sentence with links to the functions that many references use, or nothing where this one uses none."""
    body = code(record)
    names = [name for name in vars(visibility) if not name.startswith("_") and f"{name}(" in body]
    shared = links(names, lambda name: f"../../api.md#{visibility.__name__}.{name}")
    return f"Shared by many: {shared}." if names else ""


def _source(function: Callable[..., object]) -> str:
    return inspect.getsource(function).rstrip()


def linked(text: str, here: Record) -> str:
    """Make a link of each other formulation that is named in backticks."""
    names = {record.name for record in all_records()} - {here.name}

    def link(match: re.Match[str]) -> str:
        return f"[`{match[1]}`]({address(match[1], here)})" if match[1] in names else match[0]

    return re.sub(r"(?<!`)`(\w+)`(?!`)", link, text)


def address(name: str, here: Record) -> str:
    """Return where the page of a formulation stands, as seen from another one's."""
    return f"{name}.md" if find(name).family == here.family else below("../", name)


def below(atlas: str, name: str) -> str:
    """Return where the page of a formulation stands, given the way to the atlas."""
    return f"{atlas}{find(name).family}/{name}.md"


def links(names: Iterable[str], where: Callable[[str], str]) -> str:
    """Return names as links, separated by commas."""
    return ", ".join(f"[`{name}`]({where(name)})" for name in names)


def entry(term: str, *paragraphs: str) -> str:
    """Return an entry of a definition list; empty paragraphs are left out."""
    return f"`{term}`\n:   " + "\n\n    ".join(filter(None, paragraphs))


def source(paper: Source) -> str:
    """Return the paper with a link to it."""
    parts = [f"{paper.authors}, “{paper.title}” ({paper.year})"]
    if paper.arxiv:
        parts.append(f"[arXiv {paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})")
    if paper.where:
        parts.append(paper.where)
    return ", ".join(parts)


def call(record: Record) -> str:
    """Return the call with its defaults, without types."""
    parameters = []
    keywords = False
    for p in record.python_signature.parameters.values():
        if p.kind is p.KEYWORD_ONLY and not keywords:
            keywords = True
            parameters.append("*")
        parameters.append(p.name if p.default is p.empty else f"{p.name}={p.default!r}")
    if record.kind != "U":
        parameters += [*([] if keywords else ["*"]), "backend=None"]
    return f"attlas.{record.name}({', '.join(parameters)})"


def figure(name: str, title: str, caption: str, folder: str = "") -> str:
    """Return a figure in both themes and its caption."""
    images = "\n".join(
        f"![{title}]({folder}figures/{name}-{theme}.svg#only-{theme}){{ loading=lazy }}" for theme in ("light", "dark")
    )
    return f'<figure markdown="span" class="atlas-figure">\n{images}\n<figcaption>{caption}</figcaption>\n</figure>'


def about_family(family: str) -> str:
    """Return what the family's package says about itself."""
    return inspect.getdoc(importlib.import_module(f"attlas_ref.{family}")) or ""


def one_line(text: str) -> str:
    """Make a text fit a cell of a table: no line breaks, no bars."""
    return " ".join(text.split()).replace("|", "\\|")


def _doc(record: Record) -> str:
    return inspect.getdoc(record.reference) or ""
