"""Runs the tour: every formulation, on every engine of the machine, on several real heads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from attlas_ref.data import alice
from attlas_ref.records import Record, all_records

from ..bench.compare import Comparison, compare
from ..bench.contestants import engines_for, engines_here
from .inputs import real_call, variants


@dataclass(frozen=True)
class Stop:
    """One formulation on the tour."""

    record: Record
    comparisons: list[Comparison]
    calls: int
    """How many variants were compared: the call as it is, and one with each flag."""
    options: Mapping[str, Any]
    """Those that have no default and were drawn."""
    weights: Any = None
    """(layers, heads, m, n), as the reference gives them; None where a formulation has none."""


@dataclass(frozen=True)
class Tour:
    """All that was seen."""

    layers: Sequence[int]
    heads: Sequence[int]
    words: Sequence[str]
    engines: Sequence[str]
    stops: list[Stop] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def comparisons(self) -> list[Comparison]:
        """Every formulation on every engine."""
        return [comparison for stop in self.stops for comparison in stop.comparisons]

    @property
    def largest_error(self) -> float:
        """In units of the budget."""
        return max((comparison.error for comparison in self.comparisons), default=0.0)

    @property
    def passed(self) -> bool:
        """Whether every engine kept its budget everywhere, and there was an engine at all."""
        return bool(self.comparisons) and all(comparison.passed for comparison in self.comparisons)


def run_tour(
    layers: Sequence[int],
    heads: Sequence[int],
    advance: Callable[[str], None] = lambda name: None,
    budget_seconds: float = 0.04,
) -> Tour:
    """Take the tour.

    Parameters
    ----------
    layers, heads : sequences of int
        Of the transformer that read the text.
    advance : callable
        Called with the name of each formulation before it is run, to show progress.
    budget_seconds : float
        How long each formulation is timed.
    """
    stops = []
    for record in on_the_tour():
        advance(record.name)
        stops.append(_visit(record, layers, heads, budget_seconds))
    words = [str(word) for word in alice().tokens]
    return Tour(layers, heads, words, [engine.name for engine in engines_here()], stops)


def on_the_tour() -> list[Record]:
    """What is run: all but the utilities, which exist once and have nothing to be compared with."""
    return [record for record in all_records() if record.engines and record.kind != "U"]


def _visit(record: Record, layers: Sequence[int], heads: Sequence[int], budget_seconds: float) -> Stop:
    call = real_call(record, layers, heads)
    calls = variants(record, call)
    comparisons = compare(record, calls, engines_for(record), budget_seconds)
    weights = None
    if record.returns_weights:
        result = record.reference(*call.arrays, **{**call.options, "return_weights": True})
        weights = getattr(result, "weights", None)
        tokens = len(alice().tokens)
        if weights is None or weights.shape != (len(layers), len(heads), tokens, tokens):
            weights = None  # no map of words by words, or two
    drawn = {name: value for name, value in call.options.items() if not hasattr(value, "shape")}
    return Stop(record, comparisons, len(calls), drawn, weights)
