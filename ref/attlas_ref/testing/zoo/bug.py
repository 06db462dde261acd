"""What a bug is: an edit of a correct module, and the law that does not survive it."""

import ast
import contextlib
import importlib
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ...records import find

Edit = tuple[str, str]
"""A piece of source that occurs once, and what stands there instead."""


@dataclass(frozen=True)
class Bug:
    """One bug."""

    name: str
    formulation: str
    """The formulation that it poses as."""
    law: str
    """The law that kills it."""
    story: str
    """Where it happens, and what it does to whom, in a sentence or two of Markdown."""
    edits: tuple[Edit, ...]
    module: str = ""
    """The module that is edited; that of the formulation's reference if not named."""

    @property
    def edited(self) -> str:
        """The full name of the module that is edited."""
        return self.module or f"attlas_ref.{find(self.formulation).module}"

    @property
    def in_a_kernel(self) -> bool:
        """Whether it is a bug of a kernel, which lives in Numba's CUDA simulator only."""
        return self.edited.startswith("attlas.")

    def faulty(self) -> Callable[..., Any]:
        """Return the faulty function; the reference stays as it is.

        A helper that is edited is replaced in the module of the formulation.
        """
        own = f"attlas_ref.{find(self.formulation).module}"
        copy = copied(self.edited, self.edits)
        if self.edited != own:
            helper, copy = copy, copied(own, ())
            replace(copy, vars(sys.modules[self.edited]), vars(helper))
        function: Callable[..., Any] = getattr(copy, self.formulation)
        return function

    def planted(self) -> contextlib.AbstractContextManager[None]:
        """Put the faulty module in the place of the right one."""
        return planted(copied(self.edited, self.edits))

    def diff(self) -> str:
        """Return what is edited as lines with - and +."""
        lines = []
        for old, new in self.edits:
            lines += [f"{sign} {line}".rstrip() for sign, part in (("-", old), ("+", new)) for line in part.split("\n")]
        return "\n".join(line for line in lines if line not in ("-", "+"))


def copied(module: str, edits: tuple[Edit, ...]) -> ModuleType:
    """Return a copy of a module, made anew from its edited source."""
    source = inspect.getsource(importlib.import_module(module))
    for old, new in edits:
        if source.count(old) != 1:
            raise ValueError(f"{module} has {source.count(old)} times, not once:\n{textwrap.indent(old, '    ')}")
        source = source.replace(old, new)
    return remade(module, ast.parse(source))


def remade(module: str, tree: ast.Module) -> ModuleType:
    """Return a copy of a module, made anew from a syntax tree."""
    original = importlib.import_module(module)
    copy = ModuleType(module, original.__doc__)
    copy.__package__, copy.__file__ = original.__package__, original.__file__
    exec(compile(tree, str(original.__file__), "exec"), vars(copy))
    return copy


@contextlib.contextmanager
def planted(copy: ModuleType) -> Iterator[None]:
    """Put a copy of a module in the place of the module itself, wherever its parts were imported to."""
    right, wrong = dict(vars(importlib.import_module(copy.__name__))), vars(copy)
    package = copy.__name__.partition(".")[0]
    _swap(package, right, wrong)
    try:
        yield
    finally:
        _swap(package, wrong, right)


def replace(module: ModuleType, olds: dict[str, Any], news: dict[str, Any]) -> None:
    """Replace, in a module, the functions and objects of another one by those of its copy."""
    shared = (int, float, complex, str, bytes, type(None), ModuleType)  # alike wherever they come from
    own = {id(old): news[name] for name, old in olds.items() if name in news and not isinstance(old, shared)}
    for name, value in list(vars(module).items()):
        if id(value) in own:
            setattr(module, name, own[id(value)])


def _swap(package: str, olds: dict[str, Any], news: dict[str, Any]) -> None:
    """Replace in all modules of a package, and forget the kernels that were built."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == package and isinstance(module, ModuleType):
            replace(module, olds, news)
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == package and isinstance(module, ModuleType):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
