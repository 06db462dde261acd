"""Copies of an exercise, as scripts or notebooks: for students, without the solution, or for a teacher's nbgrader."""

import json
import re
from pathlib import Path
from typing import Any

from .masters import BEGIN_HIDDEN, BEGIN_SOLUTION, END_SOLUTION, Exercise, MasterError, folder

FRONT_MATTER = """\
# ---
# jupyter: {{jupytext: {{text_representation: {{extension: .py, format_name: percent}}}}}}
# attlas: {{exercise: {name}, lines: {lines}, minutes: {minutes}, points: {points:g}}}
# ---
"""
NEXT = """\
# %% [markdown]
# Save this file and let it be graded: `attlas grade {name}.{ending}`.
"""
COMPANIONS = ("README.md", "AGENTS.md")
"""What goes along with the exercises: how to work, and a request to machines that help."""


def student_copy(exercise: Exercise, ending: str = "py") -> str:
    """Return the source with a stub in the place of the solution, and without what the grader keeps to itself.

    >>> from attlas.grading.masters import exercise_named
    >>> print(student_copy(exercise_named("softmax_attention")).partition("import numpy as np")[2].partition("# %%")[0])
    <BLANKLINE>
    <BLANKLINE>
    <BLANKLINE>
    def softmax_attention(query, key, value, *, mask=None, causal=False, scale=None):
        \"""Return the weighted mean of the values for each query, (..., m, e).\"""
        raise NotImplementedError
    <BLANKLINE>
    <BLANKLINE>
    <BLANKLINE>
    """
    solution = re.compile(rf"^([ \t]*){BEGIN_SOLUTION}.*?{END_SOLUTION}$", flags=re.MULTILINE | re.DOTALL)
    stub = solution.sub(r"\1raise NotImplementedError", _without_empty_cells(exercise.solution))
    head = FRONT_MATTER.format_map(
        {field: getattr(exercise, field) for field in ("name", "lines", "minutes", "points")}
    )
    return f"{head}\n{stub.rstrip()}\n\n\n{NEXT.format(name=exercise.name, ending=ending)}"


def _without_empty_cells(text: str) -> str:
    cells = re.split(r"^(?=# %%)", text, flags=re.MULTILINE)
    return "".join(cell for cell in cells if cell.strip() not in ("", "# %%"))


def notebook(exercise: Exercise, teacher: bool = False) -> str:
    """Return the notebook of the student's copy, or of the master, with the metadata that nbgrader reads."""
    try:
        import jupytext
    except ImportError:
        raise MasterError("--notebook needs jupytext: pip install 'attlas[grading]'") from None
    text = (
        _without_empty_cells(exercise.solution) if teacher else student_copy(exercise, "ipynb").split("# ---\n", 2)[2]
    )
    made = jupytext.reads(text, fmt="py:percent")
    made.metadata["attlas"] = {"exercise": exercise.name}
    made.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    if teacher:
        made.cells.append(_graded(exercise, made.cells[-1]))
    for index, cell in enumerate(made.cells):
        cell.metadata["nbgrader"] = _role(exercise, index, cell)
        cell["id"] = f"{exercise.name[:50]}-{index}".replace("_", "-")  # not at random: the same at every run
    text = jupytext.writes(made, fmt="ipynb")
    return text if text.endswith("\n") else text + "\n"


def _graded(exercise: Exercise, like: Any) -> Any:
    """The cell that nbgrader runs for the points: the grader, in nbgrader's own process."""
    cell = like.copy()
    cell["cell_type"], cell["metadata"] = "code", type(like["metadata"])()
    cell["source"] = (
        f"{BEGIN_HIDDEN}\nfrom attlas.grading.grade import assert_right\n\n"
        f'assert_right({exercise.formulation}, "{exercise.name}")\n### END HIDDEN TESTS'
    )
    cell["outputs"], cell["execution_count"] = [], None
    return cell


def _role(exercise: Exercise, index: int, cell: Any) -> dict[str, Any]:
    """What a cell is to nbgrader: text to be read, code to be written, or a test that gives the points."""
    written = cell["cell_type"] == "code" and (
        "raise NotImplementedError" in cell["source"] or BEGIN_SOLUTION in cell["source"]
    )
    tested = "assert_right(" in cell["source"]
    role = {
        "schema_version": 3,
        "grade_id": f"{exercise.name}-{index}",
        "grade": tested,
        "solution": written,
        "locked": not written,
        "task": False,
    }
    return role | {"points": exercise.points} if tested else role


def write_copies(chosen: list[Exercise], output: Path, as_notebook: bool, teacher: bool) -> list[Path]:
    """Write copies into a folder, with the page that says how to work; nothing that is there is overwritten."""
    ending = "ipynb" if as_notebook else "py"
    made = {}
    for exercise in chosen:
        if as_notebook:
            made[output / f"{exercise.name}.ipynb"] = notebook(exercise, teacher)
        else:
            made[output / f"{exercise.name}.{ending}"] = exercise.text if teacher else student_copy(exercise)
    there = [path for path in made if path.exists()]
    if there:
        raise FileExistsError(f"{there[0]} exists and may hold somebody's work; choose another folder, or remove it")
    for companion in COMPANIONS:
        source = folder() / companion
        if source.exists() and not teacher and not (output / companion).exists():
            made[output / companion] = source.read_text(encoding="utf-8")
    output.mkdir(parents=True, exist_ok=True)
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    return list(made)


def source_of(path: Path, text: str) -> tuple[str, str | None]:
    """Return the code of a student's file, a script or a notebook, and the exercise that it names."""
    if path.suffix != ".ipynb":
        return text, _named(text)
    try:
        content = json.loads(text)
        cells = ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]
        name = content.get("metadata", {}).get("attlas", {}).get("exercise")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise MasterError(f"{path}: this is no notebook") from None
    # Lines for the notebook itself (%matplotlib, !pip) are no Python.
    code = re.sub(r"^(?=[ \t]*[%!])", "# ", "\n\n".join(cells), flags=re.MULTILINE)
    return code, name if isinstance(name, str) else None


def _named(text: str) -> str | None:
    found = re.search(r"^#\s*attlas:\s*\{?\s*exercise:\s*(\w+)", text, flags=re.MULTILINE)
    return found.group(1) if found else None
