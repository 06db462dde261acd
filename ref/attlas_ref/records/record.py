"""What a record holds."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..contract.options import Option

ENGINES = ("numba", "numba-cuda", "cupy")
"""The engines in the order of the tables."""


@dataclass(frozen=True)
class Source:
    """The paper that a formulation comes from."""

    authors: str
    title: str
    year: int
    arxiv: str | None = None
    where: str = ""
    """The equation, section or algorithm."""

    def __str__(self) -> str:
        parts = [f"{self.authors}, “{self.title}” ({self.year})"]
        if self.arxiv:
            parts.append(f"arXiv {self.arxiv}")
        if self.where:
            parts.append(self.where)
        return ", ".join(parts)


@dataclass(frozen=True)
class Record:
    """One formulation: its name, where it comes from, the shapes of a call and how to draw a valid one."""

    name: str
    family: str
    title: str
    formula: str
    """The definition in one line of plain text, as a terminal shows it; the docstring has it in full."""
    signature: str
    """The shapes of the positional arrays and the results, as ``(m,d),(n,d),(n,e)->(m,e)``."""
    source: Source
    options: Mapping[str, Option] = field(default_factory=dict)
    kind: Literal["K", "C", "U"] = "K"
    """K: a kernel on every engine; C: a composition over accelerated functions; U: a utility that exists once."""
    tier: Literal[1, 2, 3] = 1
    file: str = ""
    """The reference's module in its family's folder, where it is not named after the function."""
    engines: tuple[str, ...] = ENGINES
    """The engines that compute it."""
    keeps_accumulators: bool = False
    """Whether results of half-precision calls stay in float32, because they are partial results to go on with."""
    checks: tuple[Callable[[str, dict[str, Any]], None], ...] = ()
    """Conditions between arguments that no single option can state."""
    valid: Callable[..., tuple[Any, ...]] | None = None
    """Makes freely drawn arrays legal, where not every array is (a total must not be negative)."""
    vjp: str | None = None
    """The formulation that computes its gradients."""
    peer: str | None = None
    """The public function that `attlas bench` runs beside it, if there is one: a name in `attlas.bench.peers`."""

    @property
    def module(self) -> str:
        """The reference's module below ``attlas_ref``."""
        return f"{self.family}.{self.file or self.name}"

    @property
    def reference(self) -> Callable[..., Any]:
        """The reference itself; its module is imported at first use."""
        function: Callable[..., Any] = getattr(importlib.import_module(f"attlas_ref.{self.module}"), self.name)
        return function

    @property
    def python_signature(self) -> inspect.Signature:
        """Names and defaults, from the reference."""
        return inspect.signature(self.reference)

    @property
    def takes(self) -> tuple[str, ...]:
        """The names of the positional arrays."""
        parameters = self.python_signature.parameters.values()
        return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)

    @property
    def returns_weights(self) -> bool:
        """Whether ``return_weights=True`` gives the weight matrix too."""
        return "return_weights" in self.options
