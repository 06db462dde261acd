"""One measured point: a formulation at one size, all contestants, with their errors, memory and share of the limits."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from attlas_ref.records import Record
from attlas_ref.testing.budget import error_in_budgets, high_and_lows
from attlas_ref.testing.drawn import Call, letters_of

from .contestants import each
from .draw import drawn_call, member
from .harness import Race, race
from .limits import Limits
from .memory import peak_memory
from .roster import roster
from .work import work_of


def measure(
    record: Record,
    sizes: Mapping[str, int],
    batch: tuple[int, ...],
    dtype: str,
    options: Mapping[str, Any],
    *,
    peer: bool,
    budget_seconds: float = 3.0,
    memory: bool = True,
) -> dict[str, Any]:
    """Time a formulation at one size and return a row of the report, ready for JSON."""

    def draw(number: int) -> Call:
        return drawn_call(record, np.random.default_rng(number), sizes, batch, dtype, options)

    contestants = roster(record, peer)
    outcome = race(contestants, draw, budget_seconds=budget_seconds)
    errors = _errors(record, outcome, batch)
    work = work_of(record, sizes, batch, dtype, options)
    rows = {}
    for contestant in contestants:
        name, spread = contestant.name, outcome.time(contestant.name)
        rows[name] = {
            "seconds": asdict(spread),
            "rounds": len(outcome.seconds[name]),
            "speedup": {
                other.name: asdict(outcome.speedup(name, other.name)) for other in contestants if other.name != name
            },
            "error_in_budgets": errors[name],
            "peak_memory_bytes": (
                peak_memory(record.name, name, sizes, batch, dtype, options) if memory and _on_host(name) else None
            ),
        }
    return {
        "name": record.name,
        "sizes": dict(sizes),
        "batch": list(batch),
        "dtype": dtype,
        "options": dict(options),
        "peer": record.peer if peer else None,
        "operations": work.operations,
        "bytes": work.bytes,
        "contestants": rows,
    }


def with_shares(point: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Add to every contestant of a point its share of the machine's limits."""
    rows = {
        name: {
            **row,
            "product_share": point["operations"] / row["seconds"]["median"] / limits.operations_per_second,
            "copy_share": point["bytes"] / row["seconds"]["median"] / limits.bytes_per_second,
        }
        for name, row in point["contestants"].items()
    }
    return {**point, "contestants": rows}


def _errors(record: Record, outcome: Race, batch: tuple[int, ...]) -> dict[str, float]:
    """Check the results of the last timed round, on the last member of the batch where leading axes are independent."""
    batch = () if record.pools_batch else batch
    call = member(outcome.call, batch)
    high, lows = high_and_lows(record.name, call.arrays, call.options)
    last = (-1,) * len(batch)
    return {
        name: error_in_budgets(each(result, lambda part: part[last]), high, lows)
        for name, result in outcome.results.items()
    }


def _on_host(name: str) -> bool:
    from ..engines import TABLE

    return name not in TABLE or TABLE[name].arrays == "numpy"


def point_sizes(record: Record, n: int, width: int) -> dict[str, int]:
    """The size of every letter of a formulation's shapes: n for queries and keys, `width` for d and e."""
    return {letter: n if letter in "mn" else width for letter in letters_of(record)}
