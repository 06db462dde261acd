"""Write the generated part of the site: `python docs/generate.py`, before `mkdocs build`.

Everything here is read from the records, the docstrings, the laws and the measurements; nothing is named by hand. It
goes to `docs/atlas/`, which is not kept in the repository: the table and the map of all formulations, a page per
family, a page and figures per formulation, the laws, the weights that the explorer shows, the tables that other pages
include, and the navigation that `mkdocs.yml` inherits. The lessons are executed into `docs/lessons/`.
"""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from figures import COMPARISONS, THEMES, Draw, drawn, figure_of, recolored
from generator import atlas, explorer, mutants, pages, tables, text, zoo
from generator.kept import kept, key_of
from generator.lessons import write_lessons
from generator.navigation import navigation
from rich.console import Console
from rich.progress import track

from attlas_ref.records import FAMILIES, all_records

DOCS = Path(__file__).parent
ATLAS = DOCS / "atlas"
LESSONS = DOCS / "lessons"
BENCHMARKS = DOCS / "benchmarks"


def main() -> None:
    """Write docs/atlas and docs/lessons anew."""
    for folder in (ATLAS, LESSONS):
        shutil.rmtree(folder, ignore_errors=True)
    write_lessons(LESSONS)
    captions = draw_figures()
    parts = {f"{name}.md": table() for name, table in tables.PARTS.items()}
    parts |= {f"benchmarks-{name}.md": tables.benchmarks(name, measured(name)) for name in tables.REPORTS}
    parts |= {f"{name}.md": text.figure(name, name, captions[name], "atlas/") for name in COMPARISONS}
    parts["explorer.md"] = explorer.contents()
    parts["zoo-table.md"], parts["zoo.md"] = zoo.table(), zoo.entries()
    parts["mutants.md"] = f"{mutants.table()}\n\n{mutants.alive()}"
    parts["nav.yml"] = navigation()
    for name, content in parts.items():
        write(ATLAS / "_parts" / name, content)
    write(ATLAS / "index.md", atlas.atlas_page())
    write(ATLAS / "laws.md", atlas.laws_page())
    explorer.write_data(ATLAS / "explorer")
    for family in FAMILIES:
        write(ATLAS / family / "index.md", pages.family_page(family, captions))
        for record in all_records(family):
            write(ATLAS / family / f"{record.name}.md", pages.formulation_page(record, captions[record.name]))


def draw_figures() -> dict[str, str]:
    """Draw every figure, for every theme; return the captions by formulation."""
    records = all_records()
    wanted = {record.name: (figure_of(record), ATLAS / record.family) for record in records}
    wanted |= {name: (draw, ATLAS) for name, draw in COMPARISONS.items()}
    key = key_of(sorted((DOCS / "figures").rglob("*.py")))
    captions = {}
    for name, (draw, page) in track(wanted.items(), "figures", console=Console(stderr=True)):
        captions[name], image = json.loads(kept(f"{name}.json", key, partial(figure_as_text, draw)))
        for theme in THEMES:
            write(page / "figures" / f"{name}-{theme.name}.svg", recolored(image, theme))
    return captions


def figure_as_text(draw: Draw) -> str:
    """Draw a figure, to be kept with its caption."""
    return json.dumps(drawn(draw))


def measured(name: str) -> dict[str, Any] | None:
    """Return what `attlas bench` wrote, if it has been run."""
    path = BENCHMARKS / f"{name}.json"
    if not path.exists():
        return None
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report


def write(path: Path, content: str) -> None:
    """Write a text file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content.rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
