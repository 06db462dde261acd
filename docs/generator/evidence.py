"""What was compiled and what was drawn: tables from the files that `make kernels` and `make fuzz` write."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attlas_ref.records import FAMILIES

from .accuracy import SHOWN

MEASURED = Path(__file__).parents[1] / "benchmarks"
GENERATIONS = {"7.5": "Turing", "8.0": "Ampere", "9.0": "Hopper", "10.0": "Blackwell"}
"""Compute capabilities, and what NVIDIA calls them."""
BLOCKS = {"small": "a few rows", "real": "as users have them"}


def report(name: str) -> Any:
    """Return what a file holds, or None where it has not been written yet."""
    path = MEASURED / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def kernels() -> str:
    """Return the resources of every kernel, by family, with the largest of each on top."""
    found = report("kernels")
    if found is None:
        return "!!! note\n\n    Not compiled yet: `make kernels`."
    families: dict[str, dict[str, Mapping[str, Any]]] = {}
    for name, entry in found["kernels"].items():
        folder = entry["module"].partition(".")[0]
        families.setdefault(folder if folder in FAMILIES else "templates", {})[name] = entry
    heads = " | ".join(f"{capability} {generation}" for capability, generation in GENERATIONS.items())
    lines = [f"| kernels | count | {heads} |", f"| --- | ---: |{' ---: |' * len(GENERATIONS)}"]
    details = []
    for family, entries in sorted(families.items()):
        largest = [_cell([max(column) for column in zip(*_of(entries, one), strict=True)]) for one in GENERATIONS]
        lines.append(f"| {family} | {len(entries)} | {' | '.join(largest)} |")
        rows = [
            f"| `{name}` | {' | '.join(_cell(entry[one]) for one in GENERATIONS)} |"
            for name, entry in sorted(entries.items())
        ]
        table = [f"| kernel | {heads} |", f"| --- |{' ---: |' * len(GENERATIONS)}", *rows]
        details += ["", f'??? note "{family}, one by one"', "", *(f"    {line}" for line in table)]
    versions = found["machine"]["versions"]
    known, total = len(found["kernels"]), found["of"]
    many = f"All {total} kernels" if known == total else f"So far {known} of {total} kernels"
    made = f"{many} compiled on {found['machine']['date']} with numba-cuda {versions['numba-cuda']}; no GPU was asked."
    return "\n".join([*lines, "", made, *details])


def _of(entries: Mapping[str, Mapping[str, Any]], capability: str) -> list[list[int]]:
    return [entry[capability] for entry in entries.values()]


def _cell(taken: list[int]) -> str:
    registers, shared, spilled = taken
    return f"{registers} · {shared / 1024:.1f} · {spilled}"


def fuzz() -> str:
    """Return how many cases `make fuzz` has drawn for each engine, and what it found."""
    found = report("fuzz")
    if found is None:
        return "!!! note\n\n    Not run yet: `make fuzz`."
    lines = [
        "| engine | blocks | minutes | formulations | cases | counterexamples |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for candidate, runs in found.items():
        for blocks, words in BLOCKS.items():
            if blocks in runs:
                run = runs[blocks]
                cells = (
                    round(run["seconds"] / 60),
                    run["formulations"],
                    f"{run['cases']:,}",
                    len(run["counterexamples"]),
                )
                name = SHOWN.get(candidate, candidate)
                lines.append(f"| {name} | {words} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)
