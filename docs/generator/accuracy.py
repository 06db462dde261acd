"""What was measured of the engines' errors: tables from the file that `docs/measure_accuracy.py` writes."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from attlas_ref.records import FAMILIES, all_records

MEASURED = Path(__file__).parents[1] / "benchmarks" / "accuracy.json"
DTYPES = ("float16", "bfloat16", "float32", "float64")
SHOWN = {
    "reference": "reference",
    "numba": "`numba`",
    "cupy-as-numpy": "`cupy`, on NumPy",
    "numba-cuda-simulator": "`numba-cuda`, simulated",
}
"""The engines as the tables call them: what has no GPU here runs on NumPy's arrays, or thread by thread."""
MISSING = "!!! note\n\n    Not measured yet: `python docs/measure_accuracy.py`."

Errors = Mapping[str, Any]


@cache
def report() -> dict[str, Any] | None:
    """Return what was measured, if it has been."""
    if not MEASURED.exists():
        return None
    found: dict[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return found


def ulps() -> str:
    """Return the errors in units in the last place, a line per family and engine."""
    return _errors("ulp", lambda values: f"{_short(median(values))} · {_short(max(values))}")


def budgets() -> str:
    """Return the errors in budgets, a line per family and engine."""
    return _errors("budgets", lambda values: f"{median(values):.2f} · {max(values):.2f}")


def _errors(unit: str, shown: Callable[[Sequence[float]], str]) -> str:
    found = report()
    if found is None:
        return MISSING
    lines = [f"| family | engine | {' | '.join(DTYPES)} |", f"| --- | --- |{' ---: |' * len(DTYPES)}"]
    for family in FAMILIES:
        for index, engine in enumerate(engine for engine in SHOWN if engine in found["engines"]):
            entries = _of(found, engine, family)
            values = [[entry[dtype][unit] for entry in entries if dtype in entry] for dtype in DTYPES]
            if engine == "reference":
                values[-1] = []  # it is what all others are compared with
            cells = " | ".join(shown(column) if column else "–" for column in values)
            total = sum(record.kind != "U" for record in all_records(family))
            name = f"[{family}](atlas/{family}/index.md), {len(entries)} of {total}" if index == 0 else ""
            lines.append(f"| {name} | {SHOWN[engine]} | {cells} |")
    return "\n".join([*lines, "", _machine(found["machine"])])


def _of(found: Mapping[str, Any], engine: str, family: str) -> list[Errors]:
    names = {record.name for record in all_records(family)}
    return [entry for name, entry in found["engines"][engine].items() if name in names]


def _short(number: float) -> str:
    return f"{number:.1f}" if number < 100 else f"{number:.0e}".replace("e+0", "e").replace("e+", "e")


def _machine(machine: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in ("numpy", "numba"))
    return f"Measured on {machine['date']}: {machine['processor']}, {machine['system']}, {versions}."
