"""What became of small faults in the sources: tables from the file that `tests/mutants/run_mutants.py` writes."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from attlas_ref.records import FAMILIES

MEASURED = Path(__file__).parents[1] / "benchmarks" / "mutants.json"
LANES = {
    "reference": "references",
    "composites": "compositions",
    "cupy": "`cupy`, on NumPy",
    "numba": "`numba`",
    "numba-cuda": "`numba-cuda`, simulated",
}
KILLED = ("killed", "timeout")
MISSING = "!!! note\n\n    Not measured yet: `make mutants`."


@cache
def report() -> Mapping[str, Any]:
    """Return what was found, lane by lane."""
    if not MEASURED.exists():
        return {}
    found: dict[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return found


def table() -> str:
    """Return killed of judged mutants, per family and engine, and how many of all mutants were run."""
    lanes = [lane for lane in LANES if lane in report()]
    if not lanes:
        return MISSING
    lines = [f"| family | {' | '.join(LANES[lane] for lane in lanes)} |", f"| --- |{' ---: |' * len(lanes)}"]
    for family in (*FAMILIES, "shared"):
        cells = [_killed([report()[lane]["families"].get(family, {})]) for lane in lanes]
        name = f"[{family}](atlas/{family}/index.md)" if family in FAMILIES else "shared by families"
        lines.append(f"| {name} | {' | '.join(cells)} |")
    every = [list(report()[lane]["families"].values()) for lane in lanes]
    lines.append(f"| **all** | {' | '.join(_killed(counts, share=True) for counts in every)} |")
    runs = [sum(sum(family.values()) for family in counts) for counts in every]
    of = [f"{run} of {report()[lane]['possible']:,}" for lane, run in zip(lanes, runs, strict=True)]
    return "\n".join([*lines, f"| mutants that were run | {' | '.join(of)} |"])


def _killed(families: list[Mapping[str, int]], share: bool = False) -> str:
    killed = sum(counts.get(status, 0) for counts in families for status in KILLED)
    judged = killed + sum(counts.get("survived", 0) for counts in families)
    if not judged:
        return "–"
    return f"{killed} / {judged}" + (f" ({killed / judged:.0%})" if share else "")


def _because(mutant: Mapping[str, Any]) -> str:
    return f": {mutant['by']}" if mutant["by"] else ""


def alive() -> str:
    """Return the mutants that were not killed: survivors, those that compute the same, those that nothing calls."""
    parts = []
    for status, head in (
        ("survived", "Survivors, which want a better property"),
        ("equivalent", "Mutants that compute the same"),
        ("unreached", "Mutants of what no call reaches"),
    ):
        lines = [
            f"    - {LANES[lane]}: `{mutant['name']}` (line {mutant['line']})"
            + (f": {mutant['by']}" if mutant["by"] else "")
            for lane in LANES
            for mutant in report().get(lane, {}).get("alive", ())
            if mutant["status"] == status
        ]
        if lines:
            parts.append("\n".join([f'??? note "{head} ({len(lines)})"', "", *lines]))
    return "\n\n".join(parts)
