"""Reference against engines on the same calls: error, time, speed-up."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from attlas_ref.records import Record
from attlas_ref.testing.budget import error_in_budgets, high_and_lows
from attlas_ref.testing.drawn import Call
from attlas_ref.testing.lows import least_error

from ..engines import Engine
from .contestants import engine_contestant, reference_contestant
from .harness import Spread, race


@dataclass(frozen=True)
class Comparison:
    """How one engine compares with the reference."""

    engine: str
    error: float
    """The largest error over all calls, in units of its budget; infinite where the engine failed."""
    result: Any
    """What the engine made of the first call, as NumPy arrays; None where it failed."""
    first_seconds: float
    """All calls together when they were made for the first time: compilation included."""
    fault: str = ""
    """What the engine said when it failed."""
    reference_time: Spread | None = None
    time: Spread | None = None
    speedup: Spread | None = None

    @property
    def passed(self) -> bool:
        """Whether the error is within the budget."""
        return self.error <= 1


def compare(
    record: Record, calls: Sequence[Call], engines: Sequence[Engine], budget_seconds: float = 1.0
) -> list[Comparison]:
    """Compare the reference with each engine.

    Parameters
    ----------
    record : Record
        The formulation.
    calls : sequence of Call
        All are judged; the first is timed.
    engines : sequence of Engine
        Those of this machine.
    budget_seconds : float
        How long to measure.
    """
    exact = [high_and_lows(record.name, call.arrays, call.options) for call in calls]
    judged = {engine.name: _judge(record, calls, exact, engine) for engine in engines}
    able = [engine_contestant(record, engine) for engine in engines if not judged[engine.name].fault]
    if not able:
        return list(judged.values())
    outcome = race([reference_contestant(record), *able], lambda _: calls[0], budget_seconds=budget_seconds)
    for engine in able:
        verdict = judged[engine.name]
        judged[engine.name] = Comparison(
            verdict.engine,
            verdict.error,
            verdict.result,
            verdict.first_seconds,
            reference_time=outcome.time("reference"),
            time=outcome.time(engine.name),
            speedup=outcome.speedup(engine.name, "reference"),
        )
    return list(judged.values())


def _judge(
    record: Record, calls: Sequence[Call], exact: Sequence[tuple[Any, Sequence[Any]]], engine: Engine
) -> Comparison:
    contestant = engine_contestant(record, engine)
    errors, results = [], []
    start = time.perf_counter()
    try:
        for call in calls:
            results.append(contestant.to_numpy(contestant.prepare(call)()))
        seconds = time.perf_counter() - start
        for result, (high, lows) in zip(results, exact, strict=True):
            errors.append(least_error(partial(error_in_budgets, result, high), lows))
    except Exception as fault:  # an engine that fails must not hide how the others do
        return Comparison(engine.name, math.inf, None, 0.0, fault=f"{type(fault).__name__}: {fault}")
    return Comparison(engine.name, max(errors), results[0], seconds)
