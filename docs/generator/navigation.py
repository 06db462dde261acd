"""The site's navigation, which `mkdocs.yml` inherits."""

import json

from attlas_ref.records import FAMILIES, all_records

from .lessons import all_lessons

BEFORE = (("Home", "index.md"), ("How to read the atlas", "reading.md"), ("The contract", "contract.md"))
AFTER = (
    ("How to choose", "choosing.md"),
    ("Conventions", "conventions.md"),
    ("Aligning words", "alignment.md"),
    ("Engines", "engines.md"),
    ("Accuracy", "accuracy.md"),
    ("What is promised", "promises.md"),
    ("Famous bugs", "bugs.md"),
    ("Benchmarks", "benchmarks.md"),
    ("Teaching", "teaching.md"),
    ("API", "api.md"),
)


def navigation() -> str:
    """Return the configuration as YAML: the pages written by hand around the atlas."""
    lines = ["nav:", *(f"  - {title}: {page}" for title, page in BEFORE), "  - Lessons:", "      - lessons/index.md"]
    lines += [f"      - {json.dumps(lesson.title)}: lessons/{lesson.name}.md" for lesson in all_lessons()]
    lines += ["  - Atlas:", "      - atlas/index.md"]
    for family in FAMILIES:
        lines += [f"      - {family}:", f"          - atlas/{family}/index.md"]
        lines += [f"          - {record.name}: atlas/{family}/{record.name}.md" for record in all_records(family)]
    lines += ["      - Laws: atlas/laws.md", "  - Explorer: explorer.md"]
    return "\n".join([*lines, *(f"  - {title}: {page}" for title, page in AFTER)])
