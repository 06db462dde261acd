"""The lessons: each script in `tutorials/` is executed and becomes a page, its figures and a notebook to download.

A lesson that fails, fails the build.
"""

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from figures.style import LINES, THEMES, settings
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from . import lesson_page
from .kept import ROOT, kept, key_of

TUTORIALS = ROOT / "tutorials"
SECONDS = 300
"""A cell that takes longer is stuck, even on a busy machine."""
PREPARE = """\
__import__("matplotlib").rcParams.update({settings!r})
get_ipython().run_line_magic("config", "InlineBackend.figure_formats = ['svg']")
get_ipython().run_line_magic("config", "InlineBackend.print_figure_kwargs = {{'metadata': {{'Date': None}}}}")
"""
"""Run before the first cell, and not shown: one figure style for all lessons."""

INDEX = """\
# Lessons

A path from the first formula to the newest kernels. Each lesson is one sitting: theory first, the formula beside its
code, a figure for each idea, real words where a picture of words helps, and questions at the end. Every number and
every figure comes from the code that is shown, and what the text claims is asserted in it.

After each of them you can do what stands below its title.

{entries}

Every lesson is also a notebook, linked at its top. To run one on your own machine:

```bash
pip install attlas matplotlib sympy jupyterlab
```
"""


@dataclass(frozen=True)
class Lesson:
    """A lesson's source and what its first cell says about it."""

    path: Path
    title: str
    promise: str
    """What the reader will be able to do, one sentence."""
    minutes: int
    before: str
    """What the lesson builds on, as Markdown."""

    @property
    def name(self) -> str:
        """The file's name without its ending, which the page and the notebook share."""
        return self.path.stem

    @property
    def number(self) -> str:
        """The place in the path."""
        return self.name.partition("_")[0]


def all_lessons() -> list[Lesson]:
    """Return the lessons in their order."""
    return [read(path) for path in sorted(TUTORIALS.glob("[0-9]*.py"))]


def read(path: Path) -> Lesson:
    """Read what a lesson says about itself.

    Raises
    ------
    ValueError
        If the first cell lacks the title, the paragraph about what is learned, or the line with the minutes.
    """
    opening = jupytext.read(path).cells[0].source
    title, *paragraphs = (" ".join(block.split()) for block in re.split(r"\n\s*\n", opening.strip()))
    about = next((p for p in paragraphs if re.search(r"\d+ minutes", p)), None)
    promise = next((p for p in paragraphs if p is not about), None)
    if not title.startswith("# ") or about is None or promise is None:
        raise ValueError(f"{path.name}: the first cell needs '# Title', a paragraph, and a line with 'N minutes'")
    minutes, before = re.split(r" minutes\W*", about, maxsplit=1)
    before = re.sub(r"^(builds on|comes after|after|before)\b:?\s*", "", before, flags=re.IGNORECASE)
    return Lesson(path, title[2:], ability(promise), int(minutes.split()[-1].strip("*_")), before.strip(" .*_"))


def ability(promise: str) -> str:
    """Return what the reader can do afterwards, or the first sentence where the paragraph does not say it so."""
    found = re.search(r"\byou (?:can|will be able to) (.*?)\.(?:\s|$)", promise, re.IGNORECASE)
    return found[1] if found else re.split(r"(?<=\.)\s", promise)[0].rstrip(".")


def write_lessons(folder: Path) -> None:
    """Execute every lesson and write its page, figures and notebook into a folder, and the page that lists them."""
    folder.mkdir(parents=True, exist_ok=True)
    lessons = all_lessons()
    names = {lesson.number: lesson.name for lesson in lessons}
    for lesson in lessons:
        notebook = executed(lesson.path)
        (folder / f"{lesson.name}.ipynb").write_text(nbformat.writes(lesson_page.portable(notebook)), encoding="utf-8")
        page, figures = lesson_page.page(notebook, lesson.name, names)
        (folder / f"{lesson.name}.md").write_text(page, encoding="utf-8")
        for name, svg in figures.items():
            (folder / name).write_text(svg, encoding="utf-8")
    entries = "\n\n".join(entry(lesson, names) for lesson in lessons)
    (folder / "index.md").write_text(INDEX.format(entries=entries), encoding="utf-8")


def entry(lesson: Lesson, names: dict[str, str]) -> str:
    """Return a lesson's entry in the list, which a narrow page shows as well as a wide one."""
    before = lesson_page.linked(lesson.before, names)
    promise = lesson.promise[0].upper() + lesson.promise[1:]
    title = f"**{lesson.number}** [{lesson.title}]({lesson.name}.md)"
    return f"{title}\n:   {promise}.\n    *{lesson.minutes} minutes. Before: {before}.*"


def executed(path: Path) -> Any:
    """Return the lesson as a notebook with its results, from the cache where it is known.

    Raises
    ------
    CellExecutionError
        If a cell fails.
    """
    key = key_of([path, ROOT / "docs" / "figures" / "style.py", Path(__file__)])
    text = kept(f"{path.stem}.ipynb", key, lambda: nbformat.writes(execute(path)))
    return nbformat.reads(text, as_version=4)


def execute(path: Path) -> Any:
    """Run a lesson in a kernel of its own."""
    notebook = jupytext.read(path)
    style = {**settings(THEMES[0]), "figure.constrained_layout.use": True, "figure.figsize": (7, 3)}
    style |= {"figure.facecolor": lesson_page.GROUND, "axes.prop_cycle": f"cycler('color', {list(LINES)!r})"}
    notebook.cells.insert(0, nbformat.v4.new_code_cell(PREPARE.format(settings=style)))
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        startup_timeout=SECONDS,
        record_timing=False,
        coalesce_streams=True,
        # It would warn of sockets on this machine, and write its errors in colors.
        extra_arguments=["--IPKernelApp.log_level=ERROR", "--InteractiveShell.colors=nocolor"],
        resources={"metadata": {"path": TUTORIALS}},
    )
    # A lesson runs as a reader's would, whatever warnings the build asks for.
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONWARNINGS"}
    # Hypothesis keeps what it has read in a folder, which would stay beside the lessons.
    with tempfile.TemporaryDirectory() as folder:
        environment |= {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "HYPOTHESIS_STORAGE_DIRECTORY": folder}
        try:
            client.execute(env=environment)
        except CellExecutionError as error:
            error.add_note(f"in the lesson {path.name}")
            raise
    del notebook.cells[0]
    tidy(notebook)
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return notebook


def tidy(notebook: Any) -> None:
    """Number the cells from 1, and drop what a drawing function returns where its figure is shown."""
    counted = 0
    for index, cell in enumerate(notebook.cells):
        cell.id = f"cell-{index}"
        if cell.cell_type != "code":
            continue
        counted += 1
        cell.execution_count = counted
        if any("image/svg+xml" in output.get("data", {}) for output in cell.outputs):
            cell.outputs = [output for output in cell.outputs if output.output_type != "execute_result"]
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = counted
