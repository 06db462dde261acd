"""The tables that other pages include; `atlas` is the way from such a page to the folder of the atlas."""

from collections.abc import Callable
from typing import Any

from attlas.bench.report import markdown, suite_markdown
from attlas.bench.suites import SUITES
from attlas_ref.records import FAMILIES, all_records
from attlas_ref.testing.laws import all_laws

from . import accuracy, contract, conventions, evidence, promises, properties, text

SEVERAL = 4
"""So many names are listed; more are counted."""


def families(atlas: str = "atlas/") -> str:
    """Return the floor plan: each family, what it is about, how many formulations it has."""
    rows = [
        f"| [{family}]({atlas}{family}/index.md) | {text.about_family(family)} | {len(all_records(family))} |"
        for family in FAMILIES
    ]
    return "\n".join(["| family | is about | formulations |", "| --- | --- | ---: |", *rows])


def laws(atlas: str = "atlas/") -> str:
    """Return every law, the formulations that it is about, and those that it ties them to."""

    def where(name: str) -> str:
        return text.below(atlas, name)

    entries = []
    for law in all_laws():
        many = len(law.subjects) > SEVERAL
        about = f"{len(law.subjects)} formulations" if many else text.links(law.subjects, where)
        ties = f", tied to {text.links(law.ties, where)}" if law.ties else ""
        entries.append(text.entry(law.name, f"`{law.statement}`", f"About {about}{ties}."))
    return "\n\n".join(entries)


REPORTS = {**{name: f"attlas bench --suite {name}" for name in SUITES}, "formulations": "attlas bench --all"}
"""The measurements that are kept, and what makes them."""


def benchmarks(name: str, report: dict[str, Any] | None) -> str:
    """Return the measurements with their machine, or what to do to have some."""
    if report is None:
        return f"!!! note\n\n    Not measured yet: `{REPORTS[name]} --write docs/benchmarks/{name}.json`."
    return suite_markdown(report) if "suite" in report else markdown(report)


PARTS: dict[str, Callable[[], str]] = {
    "families": families,
    "laws": laws,
    "engines": properties.coverage,
    "properties": properties.table,
    "property-counts": properties.families,
    "conventions": conventions.table,
    "accuracy-ulp": accuracy.ulps,
    "accuracy-budgets": accuracy.budgets,
    "promises-bits": promises.bits,
    "promises-interrupts": promises.interrupts,
    "promises-calls": promises.calls,
    "promises-large": promises.large,
    "promises-growth": promises.growth,
    "contract": contract.table,
    "kernels": evidence.kernels,
    "fuzz": evidence.fuzz,
}
"""Name of the part, and what writes it; a page includes it as `atlas/_parts/<name>.md`."""
