"""What a record holds."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ..contract.binding import Form
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


@dataclass
class Draft:
    """A call that is being drawn, before its arrays are made; a record may put it right."""

    sizes: dict[str, int]
    batch: tuple[int, ...]
    options: dict[str, Any]
    """Those that are no arrays."""
    given: set[str]
    """The optional arrays that will be made."""
    rng: "np.random.Generator"  # only named, since loading it takes longer than all the rest
    """For options that depend on each other: what is drawn here stays."""
    dtype: np.dtype[Any]


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
    valid_by: tuple[str, ...] = ()
    """The options that `valid` has to know, handed over as keywords; `dtype` is that of the call."""
    exact: tuple[str, ...] = ()
    """Arrays whose entries are choices, not measurements (bits): rounding never touches them."""
    positive: tuple[str, ...] = ("d",)
    """The letters that must be at least 1: widths whose root the default scale divides by."""
    counts: Mapping[str, str] = field(default_factory=dict)
    """Letters whose size is an option of that name, and the letter that it equals where the option is None."""
    largest: Mapping[str, int] = field(default_factory=dict)
    """The largest size that tests draw for a letter, where the cost is a product of several."""
    pools_batch: bool = False
    """Whether one result stands for all leading axes together."""
    pooled: tuple[int, ...] = ()
    """The places of results that do so beside others that do not."""
    arrange: tuple[Callable[[Draft], None], ...] = ()
    """Put a drawn call right where its sizes and options depend on each other."""
    defaults_to: Mapping[str, str | None] = field(default_factory=dict)
    """Positional arrays that may be None, and the argument that then takes their place; None where none does."""
    wider: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """Flags that change the shape of an array: for each, the arrays and their letters where it is set."""
    shorter: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Positional arrays that may also come with exactly these axes, one for all of what stands before them."""
    one_row: Mapping[str, str] = field(default_factory=dict)
    """Positional arrays of one axis that may have an axis of 1 before it, where they have as many axes as the array
    named here, in the place of its rows."""
    rounds_with_the_batch: Mapping[str, str] = field(default_factory=dict)
    """The engines (the "reference" among them) on which the last bits of a member may follow the size of the batch that
    it is in, and why; elsewhere they never do."""
    outputs: Callable[[Mapping[str, int], Mapping[str, Any]], list[tuple[int, ...]]] | None = None
    """The cores of the results from sizes and options, where no signature can state them: there are more or fewer."""
    labels: tuple[str, ...] = ()
    """Positional arrays of whole numbers (tags, speakers), which have no say in the precision of the results."""
    vjp: str | None = None
    """The formulation that computes its gradients."""
    approximates: str | None = None
    """The formulation that it stands in for at a lower cost, if its results are not those of that one."""
    peer: str | None = None
    """The public function that `attlas bench` runs beside it, if there is one: a name in `attlas.bench.peers`."""

    @property
    def module(self) -> str:
        """The reference's module below ``attlas_ref``."""
        return f"{self.family}.{self.file or self.name}"

    @property
    def runs(self) -> bool:
        """Whether `attlas` offers it: an engine computes it, or it is a utility."""
        return self.kind == "U" or bool(self.engines)

    @property
    def reference(self) -> Callable[..., Any]:
        """The reference itself; its module is imported at first use."""
        function: Callable[..., Any] = getattr(importlib.import_module(f"attlas_ref.{self.module}"), self.name)
        return function

    @cached_property
    def form(self) -> Form:
        """What a call may look like."""
        return Form(self.python_signature, self.options)

    @cached_property
    def python_signature(self) -> inspect.Signature:
        """Names and defaults, from the reference."""
        return inspect.signature(self.reference)

    @property
    def takes(self) -> tuple[str, ...]:
        """The names of the positional arrays."""
        return self.form.arrays

    @property
    def returns_weights(self) -> bool:
        """Whether ``return_weights=True`` gives the weight matrix too."""
        return "return_weights" in self.options
