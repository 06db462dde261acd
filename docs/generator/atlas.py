"""The first page of the atlas: every formulation in a table and on a map; and the page of all laws.

Both are complete as they are written; `assets/atlas.js` adds the search, the order and the map's answers.
"""

from collections import Counter
from html import escape

from figures.web import SPACING, Web, pairs, web

from attlas_ref.records import FAMILIES, Record, all_records, find
from attlas_ref.testing.laws import all_laws, laws_of

from . import tables, text

PAGE = """\
---
hide: [navigation, toc]
---

# The atlas

{count} formulations in {families} families. [How to read the atlas](../reading.md) explains letters and parts.

{table}

## Map

A group is a family, a point a formulation, a line a pair that laws tie: the thicker, the more laws. Point at one to see
what it is tied to, or move with the arrow keys; a click or Enter leads to its page. What the search above leaves out is
faint here too.

{map}

## Families

{floor_plan}

## Laws

{laws} theorems that run: each is checked against the references and against every engine, on drawn inputs.
[All of them](laws.md) are on a page of their own, and those of a formulation on its page.
"""

LAWS = """\
# Laws

Theorems that run: each is checked against the references and against every engine, on drawn inputs. The
[map](index.md#map) shows which formulations they tie together.

{laws}
"""

COLUMNS = ("formulation", "is", "family", "year", "runs", "gradient", "laws")
RUNS = {"K": "kernel", "C": "composed", "U": "NumPy"}
MARGIN = 40
LABELED = 3
"""The point with most neighbors in its family has its name on the map, if they are so many."""
STYLES = 4
"""Families take turns in so many colors, which the style sheet holds."""


def atlas_page() -> str:
    """Return the page of the table and the map."""
    return PAGE.format(
        count=len(all_records()),
        families=len(FAMILIES),
        table=table(),
        map=drawing(web()),
        floor_plan=tables.families(""),
        laws=len(all_laws()),
    )


def laws_page() -> str:
    """Return the page of all laws."""
    return LAWS.format(laws=tables.laws(""))


def table() -> str:
    """Return all formulations with what one chooses by, and the fields that narrow them down."""
    head = "".join(f'<th scope="col" class="atlas-{name}">{name}</th>' for name in COLUMNS)
    body = "\n".join(row(record) for record in all_records())
    options = "".join(f"<option>{family}</option>" for family in FAMILIES)
    kinds = "".join(f'<option value="{RUNS[kind]}">{words}</option>' for kind, words in text.KINDS.items())
    return f"""\
<form class="atlas-search" role="search" autocomplete="off" hidden>
<label class="atlas-words">Search <input type="search" name="words" placeholder="name, formula, author, year …"></label>
<label>Family <select name="family"><option value="">all</option>{options}</select></label>
<label>Runs as <select name="runs"><option value="">any</option>{kinds}</select></label>
<span class="atlas-count" role="status"></span>
</form>
<div class="atlas-scroll" role="region" aria-label="All formulations" tabindex="0">
<table class="atlas-table">
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table>
</div>
<script src="../assets/atlas.js" defer></script>"""


def row(record: Record) -> str:
    """Return a formulation's row; what it can be found by, but is not shown, stands in an attribute."""
    source = record.source
    cells = {
        "formulation": f'<a href="{address(record.name)}"><code>{record.name.replace("_", "_<wbr>")}</code></a>',
        "is": escape(record.title),
        "family": record.family,
        "year": source.year,
        "runs": RUNS[record.kind],
        "gradient": "yes" if record.vjp else "",
        "laws": len(laws_of(record.name)),
    }
    hidden = " ".join(filter(None, (record.formula, source.authors, source.title, source.arxiv, text.summary(record))))
    columns = "".join(f'<td class="atlas-{name}">{cell}</td>' for name, cell in cells.items())
    return f'<tr data-name="{record.name}" data-more="{escape(hidden)}">{columns}</tr>'


def address(name: str) -> str:
    """Return where the built page of a formulation stands, as seen from the atlas."""
    return text.below("", name).replace(".md", ".html")


def drawing(placed: Web) -> str:
    """Return the map as SVG of which every point is a link."""
    boxes = [(x - r, y - r, x + r, y + r) for x, y, r in placed.circles.values()]
    left, top = (min(box[i] for box in boxes) - MARGIN for i in (0, 1))
    width, height = (max(box[i] for box in boxes) + MARGIN - low for i, low in ((2, left), (3, top)))
    ties = pairs()
    groups = [_group(family, placed) for family in FAMILIES]
    neighbors = Counter(name for pair in ties for name in pair)
    lines = [_line(pair, count, placed) for pair, count in sorted(ties.items())]
    points = [_point(name, placed, neighbors[name]) for name in placed.places]
    hubs = (
        max((record.name for record in all_records(family)), key=lambda name: neighbors[name]) for family in FAMILIES
    )
    labels = [_label(name, placed) for name in hubs if neighbors[name] >= LABELED]
    titles = [_title(family, placed) for family in FAMILIES]
    parts = "\n".join([*groups, *lines, *points, *labels, *titles])
    box = f"{left:.0f} {top:.0f} {width:.0f} {height:.0f}"
    return f"""\
<div class="atlas-map">
<svg viewBox="{box}" role="group" aria-label="Map of the formulations and of the laws between them">
{parts}
</svg>
</div>
<p class="atlas-told" role="status">Nothing is chosen yet.</p>"""


def _style(family: str) -> str:
    return f"atlas-color-{FAMILIES.index(family) % STYLES}"


def _group(family: str, placed: Web) -> str:
    x, y, radius = placed.circles[family]
    return f'<circle class="atlas-group {_style(family)}" cx="{x:.0f}" cy="{y:.0f}" r="{radius:.0f}"/>'


def _title(family: str, placed: Web) -> str:
    x, y, radius = placed.circles[family]
    return (
        f'<a class="atlas-title" href="{family}/index.html">'
        f'<text x="{x:.0f}" y="{y - radius - 6:.0f}">{family}</text></a>'
    )


def _line(pair: tuple[str, str], count: int, placed: Web) -> str:
    (x1, y1), (x2, y2) = (placed.places[name] for name in pair)
    # Bent a little to the side, so that lines of one direction do not cover each other.
    middle = f"{(x1 + x2) / 2 + (y2 - y1) / 8:.0f} {(y1 + y2) / 2 - (x2 - x1) / 8:.0f}"
    path = f"M{x1:.0f} {y1:.0f}Q{middle} {x2:.0f} {y2:.0f}"
    width = min(1 + 0.5 * (count - 1), 3)
    return f'<path data-one="{pair[0]}" data-other="{pair[1]}" data-laws="{count}" stroke-width="{width}" d="{path}"/>'


def _point(name: str, placed: Web, neighbors: int) -> str:
    x, y = placed.places[name]
    record = find(name)
    radius = min(SPACING * (0.2 + 0.06 * neighbors**0.5), SPACING / 2)
    return (
        f'<a class="atlas-point {_style(record.family)}" href="{address(name)}" data-name="{name}" '
        f'data-title="{escape(record.title)}"><title>{name}</title>'
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{radius:.1f}"/></a>'
    )


def _label(name: str, placed: Web) -> str:
    x, y = placed.places[name]
    return f'<text class="atlas-label" x="{x:.0f}" y="{y - SPACING / 2:.0f}">{name}</text>'
