"""The famous bugs: what each changes, who notices, and the smallest call that shows it."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from attlas_ref.records import FAMILIES, find
from attlas_ref.testing.zoo import BUGS, Bug
from attlas_ref.testing.zoo.hunt import law_named

from . import text

MEASURED = Path(__file__).parents[1] / "benchmarks" / "zoo.json"
PASSES = {True: "passes", False: "catches it", None: "has no rows"}
"""What becomes of the test that rows sum to one."""


@cache
def report() -> dict[str, Any]:
    """Return what `docs/measure_zoo.py` found."""
    found: dict[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return found


def table() -> str:
    """Return how many bugs of each family the test of rows catches."""
    lines = [
        "| family | bugs | rows sum to one: passes | catches it | has no rows | the laws catch |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    totals = [0] * 4
    for family in FAMILIES:
        bugs = [bug for bug in BUGS if find(bug.formulation).family == family]
        fates = [report()[bug.name]["rows_sum_to_one"] for bug in bugs]
        counts = [len(bugs), *(fates.count(fate) for fate in PASSES)]
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        lines.append(f"| [{family}](atlas/{family}/index.md) | {' | '.join(map(str, counts))} | {len(bugs)} |")
    return "\n".join([*lines, f"| all | {' | '.join(map(str, totals))} | {totals[0]} |"])


def entries() -> str:
    """Return every bug: first those that pass, then those without rows, then those that are caught."""
    heads = {
        True: "## Their rows sum to one",
        None: "## They have no rows to sum",
        False: "## A sum of rows does catch these",
    }
    parts = []
    for fate, head in heads.items():
        parts += [head, *(entry(bug) for bug in BUGS if report()[bug.name]["rows_sum_to_one"] is fate)]
    return "\n\n".join(parts)


def entry(bug: Bug) -> str:
    """Return one bug."""
    found, law = report()[bug.name], law_named(bug.law)
    name = bug.name.replace("_", " ").capitalize()
    page = f"[`{bug.formulation}`]({text.below('atlas/', bug.formulation)})"
    where = " in its CUDA kernel" if bug.in_a_kernel else ""
    return "\n\n".join(
        [
            f"### {name}",
            f"{page}{where}. {bug.story}",
            f"```diff\n{bug.diff()}\n```",
            f"Killed by `{law.name}`: `{law.statement}`, with {found['call']}: {found['broken']}.",
        ]
    )
