"""Which formulations use which function: found in the compiled code, by the names that it looks up.

A formulation uses what its function names, and what that names in turn, through modules, classes, closures, partials,
caches and tables. This is a little too much (a name that is never called counts), and never runs anything.
"""

import functools
import inspect
import sys
from collections.abc import Iterable, Iterator
from types import CodeType, ModuleType
from typing import Any

PACKAGES = ("attlas", "attlas_ref")


def uses(function: Any) -> set[tuple[str, str]]:
    """Return (module, name of a function, class or constant) for all that a function uses, itself included."""
    found: set[tuple[str, str]] = set()
    seen: set[int] = set()
    waiting = [function]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        place = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
        if isinstance(place[0], str) and isinstance(place[1], str) and _ours(place[0]):
            found.add((place[0], place[1].partition(".")[0]))
        waiting += _named_by(thing, found)
    return found


def _ours(module: str) -> bool:
    return module.partition(".")[0] in PACKAGES


def _named_by(thing: Any, found: set[tuple[str, str]]) -> Iterator[Any]:
    """What a thing holds or looks up."""
    for held in ("__wrapped__", "py_func", "func"):
        if held in dir(thing):
            yield getattr(thing, held)
    if isinstance(thing, functools.partial):
        yield from (*thing.args, *thing.keywords.values())
    elif isinstance(thing, dict):
        yield from thing.values()
    elif isinstance(thing, (tuple, list, set, frozenset)):
        yield from thing
    elif inspect.isclass(thing) and _ours(thing.__module__):
        yield from vars(thing).values()
        yield from thing.__mro__
    elif isinstance(thing, (property, classmethod, staticmethod)):
        yield from (part for part in (getattr(thing, "fget", None), getattr(thing, "__func__", None)) if part)
    elif inspect.isfunction(thing) and _ours(thing.__module__):
        yield from (cell.cell_contents for cell in thing.__closure__ or () if _is_filled(cell))
        module = sys.modules.get(thing.__module__)
        names = set(_names(thing.__code__))
        for name in names & set(thing.__globals__):
            found.add((thing.__module__, name))
            value = thing.__globals__[name]
            if isinstance(value, ModuleType) and _ours(value.__name__):
                yield from (vars(value)[other] for other in names & set(vars(value)))
            elif module is not None:
                yield value
    elif _ours(type(thing).__module__) and hasattr(thing, "__dict__") and not isinstance(thing, ModuleType):
        yield type(thing)
        yield from vars(thing).values()


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _names(code: CodeType) -> Iterable[str]:
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _names(part)
