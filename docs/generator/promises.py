"""What is promised and proved: equal bits, from what the records declare; figures, from `docs/measure_promises.py`."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from attlas_ref.records import ENGINES, FAMILIES, Record, all_records

from . import text

MEASURED = Path(__file__).parents[1] / "benchmarks" / "promises.json"
COLUMNS = {"reference": "reference", "numba": "`numba`", "numba-cuda": "`numba-cuda`", "cupy": "`cupy`"}
STATED = ("O(1)", "O({})", "O({}²)")
"""Costs by their exponent."""
MISSING = "!!! note\n\n    Not measured yet: `make large`."


@cache
def report() -> dict[str, Any] | None:
    """Return what was measured, if it has been."""
    if not MEASURED.exists():
        return None
    found: dict[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return found


def bits(atlas: str = "atlas/") -> str:
    """Return how many formulations repeat to the last bit on each engine, and behind it each one of them."""
    heads = " | ".join(COLUMNS.values())
    lines = [f"| family | {heads} |", f"| --- |{' ---: |' * len(COLUMNS)}"]
    details = []
    for family in FAMILIES:
        records = [record for record in all_records(family) if record.kind != "U"]
        counts = [_share([_promise(record, name) for record in records]) for name in COLUMNS]
        lines.append(f"| [{family}]({atlas}{family}/index.md) | {' | '.join(counts)} |")
        details += ["", f'??? note "{family}, one by one"', "", f"    | formulation | {heads} |"]
        details.append(f"    | --- |{' --- |' * len(COLUMNS)}")
        for record in records:
            cells = " | ".join(_promise(record, name) for name in COLUMNS)
            details.append(f"    | [`{record.name}`]({text.below(atlas, record.name)}) | {cells} |")
    return "\n".join([*lines, *details])


def _promise(record: Record, engine: str) -> str:
    if engine in ENGINES and engine not in record.engines:
        return "–"
    if engine in record.rounds_with_the_batch:
        return f"within the budget in another batch: {record.rounds_with_the_batch[engine]}"
    return "equal; one for the batch" if record.pools_batch else "equal"


def _share(promises: list[str]) -> str:
    asked = [promise for promise in promises if promise != "–"]
    return f"{sum(promise.startswith('equal') for promise in asked)} of {len(asked)}"


def interrupts() -> str:
    """Return how soon Ctrl-C returns."""
    found = report()
    if found is None:
        return MISSING
    lines = ["| a long call of | threads | Ctrl-C returns after | the next call |", "| --- | ---: | ---: | --- |"]
    for entry in found["interrupts"]:
        lines.append(
            f"| `{entry['name']}` | {entry['threads']} | {1000 * entry['seconds']:.1f} ms | "
            f"{'the same bits' if entry['same'] else 'other bits'} |"
        )
    return "\n".join(lines)


def calls() -> str:
    """Return what thousands of calls leave behind."""
    found = report()
    if found is None:
        return MISSING
    lines = ["| formulation | calls | memory grows by | threads more |", "| --- | ---: | ---: | ---: |"]
    for entry in found["calls"]:
        lines.append(f"| `{entry['name']}` | {entry['calls']} | {entry['bytes'] / 1e3:.0f} kB | {entry['threads']} |")
    return "\n".join(lines)


def large() -> str:
    """Return the memory of calls with a million queries or keys."""
    found = report()
    if found is None:
        return MISSING
    lines = ["| formulation | sizes | arguments | memory beside them |", "| --- | --- | ---: | ---: |"]
    for name, entry in sorted(found["large"].items()):
        sizes = ", ".join(f"{letter} = {size}" for letter, size in entry["sizes"].items())
        lines.append(f"| `{name}` | {sizes} | {entry['inputs'] / 1e6:.0f} MB | {entry['bytes'] / 1e6:.0f} MB |")
    return "\n".join(lines)


def growth() -> str:
    """Return how time and memory grow, beside what is stated."""
    found = report()
    if found is None:
        return MISSING
    lines = [
        "| formulation | grows | time, stated | time, fitted | memory, stated | memory, fitted |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for name, entry in sorted(found["growth"].items()):
        stated = {key: STATED[entry[key]].format(entry["letters"][-1]) for key in ("time", "memory")}
        fitted = f"{entry['fitted_time']:.2f} | {stated['memory']} | {entry['fitted_memory']:.2f}"
        grows = f"{' = '.join(entry['letters'])}, {entry['counts'][0]} to {entry['counts'][-1]}"
        lines.append(f"| `{name}` | {grows} | {stated['time']} | {fitted} |")
    return "\n".join(lines)
