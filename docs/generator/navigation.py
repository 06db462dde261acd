"""The site's navigation, which `mkdocs.yml` inherits."""

from attlas_ref.records import FAMILIES, all_records

BEFORE = (("Home", "index.md"), ("How to read the atlas", "reading.md"), ("The contract", "contract.md"))
AFTER = (
    ("Which normalizer, which score", "choosing.md"),
    ("Engines", "engines.md"),
    ("Accuracy", "accuracy.md"),
    ("Benchmarks", "benchmarks.md"),
    ("API", "api.md"),
)


def navigation() -> str:
    """Return the configuration as YAML: the pages written by hand around the atlas."""
    lines = ["nav:", *(f"  - {title}: {page}" for title, page in BEFORE), "  - Atlas:", "      - atlas/index.md"]
    for family in FAMILIES:
        lines += [f"      - {family}:", f"          - atlas/{family}/index.md"]
        lines += [f"          - {record.name}: atlas/{family}/{record.name}.md" for record in all_records(family)]
    return "\n".join([*lines, *(f"  - {title}: {page}" for title, page in AFTER)])
