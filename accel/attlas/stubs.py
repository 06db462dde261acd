"""Writes what static tools read: `attlas/__init__.pyi` and `attlas_ref/__init__.pyi`, from the records.

The public functions come into being at first use, which no type checker or editor follows. The stubs name them: those
of `attlas_ref` lead to the source, those of `attlas` state the signature. Run ``python -m attlas.stubs`` after adding
a record; ``--check`` only says whether the files are up to date.
"""

import inspect
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import attlas
import attlas_ref
from attlas_ref.records import Record, all_records

HEADER = "# Written by `python -m attlas.stubs` from the records; do not edit.\n"


def reference_stub() -> str:
    """Return the stub of `attlas_ref`: every function from the module that defines it."""
    lines = [f"from .{record.module} import {record.name} as {record.name}" for record in all_records()]
    return HEADER + "\n" + "\n".join(sorted(lines)) + "\n\n__version__: str\n"


def engine_stub() -> str:
    """Return the stub of `attlas`: every function with its signature and `backend`, and whatever else is public."""
    imports: set[tuple[str, str]] = set()
    functions = [_function(record, imports) for record in all_records() if record.engines and record.kind != "U"]
    made = {record.name for record in all_records() if record.engines and record.kind != "U"}
    for name in attlas.__all__:
        if name not in made and name != "__version__":
            imports.add((getattr(attlas, name).__module__, name))
    return "\n".join(
        [
            HEADER,
            *_import_lines(imports),
            "",
            "__version__: str",
            "__all__: list[str]",
            "",
            "\n".join(functions),
        ]
    )


def _function(record: Record, imports: set[tuple[str, str]]) -> str:
    function = getattr(attlas, record.name)
    signature = inspect.signature(function)
    lines = [f"def {record.name}("]
    starred = False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            lines.append("    *,")
            starred = True
        default = "" if parameter.default is parameter.empty else f" = {_literal(parameter.default)}"
        lines.append(f"    {parameter.name}: {_annotation(parameter.annotation, imports)}{default},")
    lines.append(f") -> {_annotation(signature.return_annotation, imports)}:")
    summary = (inspect.getdoc(function) or record.title).splitlines()[0]
    lesson = f"See `attlas_ref.{record.module}` for the lesson."
    raw = "r" if "\\" in summary else ""
    lines.append(textwrap.indent(f'{raw}"""{summary}\n\n{lesson}\n"""', "    "))
    return "\n".join(lines) + "\n"


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _annotation(annotation: Any, imports: set[tuple[str, str]]) -> str:
    """Write a type as source; what it needs is added to the imports."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation in (None, type(None)):
        return "None"
    if annotation is Ellipsis:
        return "..."
    if origin in (Union, types.UnionType):
        return " | ".join(_annotation(part, imports) for part in parts)
    if origin is Literal:
        imports.add(("typing", "Literal"))
        return f"Literal[{', '.join(map(_literal, parts))}]"
    if origin is not None:
        return f"{_annotation(origin, imports)}[{', '.join(_annotation(part, imports) for part in parts)}]"
    if annotation.__module__ != "builtins":
        imports.add((annotation.__module__, annotation.__name__))
    return str(annotation.__name__)


def _import_lines(imports: set[tuple[str, str]]) -> Iterator[str]:
    """Group imports as formatters do: the standard library first, then ours; all of ours are public."""
    ours = {(module, name) for module, name in imports if module.split(".")[0] in ("attlas", "attlas_ref")}
    yield from (f"from {module} import {name}" for module, name in sorted(imports - ours))
    yield ""
    yield from (f"from {module} import {name} as {name}" for module, name in sorted(ours))


def stubs() -> dict[Path, str]:
    """Return what each stub should hold."""
    return {
        Path(attlas_ref.__file__).with_suffix(".pyi"): reference_stub(),
        Path(attlas.__file__).with_suffix(".pyi"): engine_stub(),
    }


def main(arguments: list[str]) -> int:
    """Write the stubs, or with ``--check`` compare them; 1 if they were stale."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m attlas.stubs [--check]", file=sys.stderr)
        return 2
    stale = [path for path, text in stubs().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if arguments:
            print(f"{path} is not what the records say; run python -m attlas.stubs", file=sys.stderr)
        else:
            path.write_text(stubs()[path], encoding="utf-8")
            print(f"wrote {path}")
    return 1 if arguments and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
