"""One measured point: a formulation at one size, all contestants, with their errors, memory and share of the limits."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from attlas_ref.records import Record
from attlas_ref.testing.budget import error_in_budgets, high_and_lows
from attlas_ref.testing.drawn import Call, letters_of
from attlas_ref.testing.members import member

from .contestants import Contestant, each
from .draw import drawn_call, first_tokens, last_queries
from .harness import Race, race
from .limits import Limits
from .memory import peak_memory
from .work import work_of


def measure(
    record: Record,
    sizes: Mapping[str, int],
    batch: tuple[int, ...],
    dtype: str,
    options: Mapping[str, Any],
    contestants: Sequence[Contestant],
    *,
    arrays: Collection[str] = (),
    others: Sequence[Contestant] = (),
    memory: Collection[str] = (),
    checked: tuple[str, int] | None = None,
    budget_seconds: float = 3.0,
) -> dict[str, Any]:
    """Time a formulation at one size and return a row of the report, ready for JSON.

    Parameters
    ----------
    record, sizes, batch, dtype, options
        What is called, and at which size.
    contestants : sequence of Contestant
        Who computes it: timed, and checked.
    arrays : names
        The optional arrays that the call has.
    others : sequence of Contestant
        Who computes something else with the same inputs: timed only.
    memory : names
        The contestants whose peak memory is measured, each in a process of its own.
    checked : tuple of {"first", "last"} and int, optional
        Check so many of the first tokens, where they do not depend on later ones, or of the last queries only: the
        reference makes all scores.
    budget_seconds : float
        How long to time.
    """

    def draw(number: int) -> Call:
        return drawn_call(record, np.random.default_rng(number), sizes, batch, dtype, options, arrays)

    everyone = [*contestants, *others]
    outcome = race(everyone, draw, budget_seconds=budget_seconds)
    errors = _errors(record, outcome, batch, [contestant.name for contestant in contestants], checked)
    work = work_of(record, sizes, batch, dtype, options)
    rows = {}
    for contestant in everyone:
        name, spread = contestant.name, outcome.time(contestant.name)
        rows[name] = {
            "seconds": asdict(spread),
            "rounds": len(outcome.seconds[name]),
            "speedup": {
                other.name: asdict(outcome.speedup(name, other.name)) for other in everyone if other.name != name
            },
            "error_in_budgets": errors.get(name),
            "result_bytes": _size(outcome.results[name]),
            "peak_memory_bytes": (
                peak_memory(record.name, name, sizes, batch, dtype, options, arrays) if name in memory else None
            ),
        }
    return {
        "name": record.name,
        "sizes": dict(sizes),
        "batch": list(batch),
        "dtype": dtype,
        "options": dict(options),
        "arrays": list(arrays),
        "peer": record.peer,
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


def _errors(
    record: Record, outcome: Race, batch: tuple[int, ...], names: Collection[str], checked: tuple[str, int] | None
) -> dict[str, float]:
    """Check the results of the last timed round, on the last member of the batch where leading axes are independent."""
    batch = () if record.pools_batch or record.pooled else batch
    call = member(outcome.call, batch, (-1,) * len(batch))
    place: tuple[Any, ...] = (-1,) * len(batch)
    if checked is not None:
        which, count = checked
        call = last_queries(call, count) if which == "last" else first_tokens(call, count)
        place = (*place, slice(-count, None) if which == "last" else slice(count))
    high, lows = high_and_lows(record.name, call.arrays, call.options)
    return {name: error_in_budgets(each(outcome.results[name], lambda part: part[place]), high, lows) for name in names}


def _size(result: Any) -> int:
    if isinstance(result, tuple):
        return sum(map(_size, result))
    size: int = result.nbytes
    return size


def point_sizes(record: Record, n: int, width: int) -> dict[str, int]:
    """The size of every letter of a formulation's shapes: n for queries and keys, `width` for d and e."""
    return {letter: n if letter in "mn" else width for letter in letters_of(record)}
