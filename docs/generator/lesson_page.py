"""An executed notebook as a page of the site, and as a notebook that stands alone."""

import copy
import re
from collections.abc import Mapping
from typing import Any

import nbformat
from figures.style import THEMES, recolored

GROUND = "#ffffff"
"""The ground of a figure in the notebook; the page has its own."""
SHARE_OF_WIDTH = 0.6
"""A figure may shrink to this share of its size before it scrolls, on a narrow page."""

TOP = "[Download this lesson as a notebook]({name}.ipynb){{ .lesson-download }}"
NOTEBOOK = (
    "This notebook needs `pip install attlas matplotlib sympy`. It was executed when the documentation was built."
)


def page(notebook: Any, name: str, names: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return a lesson as Markdown, and its figures by file name: each one for the light and for the dark page.

    `names` holds the name of each lesson by its number, for links between them.
    """
    blocks: list[str] = []
    figures: dict[str, str] = {}
    heading = name
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = ([heading, *re.findall(r"^#+ (.*)", cell.source, re.MULTILINE)])[-1]
            blocks.append(linked(foldable(cell.source), names))
            if len(blocks) == 1:
                blocks.append(TOP.format(name=name))
            continue
        blocks.append(fenced(cell.source, "python"))
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/svg+xml" in data:
                stem = f"{name}-{len(figures) // len(THEMES) + 1}"
                svg = without_ground(data["image/svg+xml"])
                drawn = {f"{stem}-{theme.name}.svg": recolored(svg, theme) for theme in THEMES}
                blocks.append(figure(drawn, heading))
                figures |= drawn
            elif "text/latex" in data:
                blocks.append(displayed(data["text/latex"]))
            else:
                blocks.append(fenced(output.get("text") or data["text/plain"], "text"))
    return "\n\n".join(blocks) + "\n", figures


def portable(notebook: Any) -> Any:
    """Return the notebook for download: it says what it needs, and links to pages of the site become plain text."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\[([^\]]+)\]\((?!https?:|#)[^)]+\)", r"\1", cell.source)
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell(NOTEBOOK, id="needs"))
    return notebook


def foldable(markdown: str) -> str:
    """Let Markdown inside of <details> be Markdown on the page too, as it is in a notebook.

    The questions keep their numbers, which Markdown would begin anew after each folded answer.
    """
    if "<details>" in markdown:
        markdown = re.sub(r"^(\d+)\. ", r"**\1.** ", markdown, flags=re.MULTILINE)
    return re.sub(r"<details>\s*<summary>", '<details class="question" markdown="1">\n<summary>', markdown)


def linked(markdown: str, names: Mapping[str, str]) -> str:
    """Make links of the numbers in "lesson 02" and "lessons 02 (the dot product) and 06"."""
    one = r"\d\d\b(?: \([^)]*\))?"

    def link(number: re.Match[str]) -> str:
        return f"[{number[0]}]({names[number[0]]}.md)" if number[0] in names else number[0]

    return re.sub(
        rf"(?<!\[)\b[Ll]essons? {one}(?:(?:,|,? and| to) {one})*",
        lambda mention: re.sub(r"\b\d\d\b", link, mention[0]),
        markdown,
    )


def fenced(text: str, language: str) -> str:
    """Return text as a block of code."""
    return f"```{language}\n{text.rstrip()}\n```"


def displayed(latex: str) -> str:
    """Return what SymPy displays as a formula of its own."""
    formula = latex.strip().strip("$").removeprefix(r"\displaystyle").strip()
    return f"$$\n{formula}\n$$"


def without_ground(svg: str) -> str:
    """Return a figure on the ground of the page."""
    return re.sub(rf'(<g id="patch_1">\s*<path [^>]*style="fill: ){GROUND}', r"\1none", svg, count=1)


def figure(drawn: dict[str, str], title: str) -> str:
    """Return a figure in both themes."""
    found = re.search(r'<svg [^>]*?width="([\d.]+)pt"', next(iter(drawn.values())))
    assert found is not None
    pixels = float(found[1]) * 96 / 72
    look = f'{{ loading=lazy width={pixels:.0f} style="min-width: {SHARE_OF_WIDTH * pixels:.0f}px" }}'
    images = "\n".join(f"![{title}]({file}#only-{theme.name}){look}" for file, theme in zip(drawn, THEMES, strict=True))
    return f'<figure markdown="span" class="lesson-figure">\n{images}\n</figure>'
