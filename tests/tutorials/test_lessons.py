"""Every lesson runs, and has the form that all lessons have."""

import ast
import os
import re
import sys
from pathlib import Path

import jupytext
import pytest
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))

from generator import lesson_page, lessons  # noqa: E402

if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0"):
    pytest.skip("the simulator changes nothing here", allow_module_level=True)

# With the tests of the site, in one process: what one of them has executed the other finds in the cache.
pytestmark = pytest.mark.xdist_group("docs")

PATHS = sorted(path for path in (ROOT / "tutorials").glob("*.py"))
SHOWN = {"numba", "numpy", "scipy", "sympy", "matplotlib", "attlas", "attlas_ref"}
"""What a reader of lessons has installed."""
LARGEST_FIGURE = 300_000

each_lesson = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def test_there_are_lessons() -> None:
    assert PATHS


@each_lesson
def test_lesson_runs_and_says_nothing_by_accident(path: Path) -> None:
    for cell in lessons.executed(path).cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", f"{path.name} warns: {output.text}"
            shown = output.get("text") or output.data.get("text/plain", "")
            if "image/svg+xml" not in output.get("data", {}):
                assert not re.search(r"<matplotlib|\bText\(|at 0x[0-9a-f]{6}", shown), f"{path.name} shows {shown}"


@each_lesson
def test_lesson_has_figures_that_fit_both_themes(path: Path) -> None:
    page, figures = lesson_page.page(lessons.executed(path), path.stem, {})
    assert figures
    for name, svg in figures.items():
        assert name in page
        assert len(svg) < LARGEST_FIGURE, name
        if "dark" in name:
            assert "#000000" not in svg, f"{name} is black on black"


@each_lesson
def test_lesson_says_what_it_is(path: Path) -> None:
    assert re.fullmatch(r"\d\d(_[a-z]+)+", path.stem), "NN_slug.py"
    lesson = lessons.read(path)
    assert lesson.title
    assert 10 <= lesson.minutes <= 45
    assert lesson.promise
    assert lesson.before


def test_no_two_lessons_have_one_number() -> None:
    numbers = [path.stem[:2] for path in PATHS]
    assert len(numbers) == len(set(numbers))


@each_lesson
def test_lesson_ends_with_questions_and_folded_answers(path: Path) -> None:
    text = "\n\n".join(cell.source for cell in jupytext.read(path).cells if cell.cell_type == "markdown")
    last_section = re.split(r"^## ", text, flags=re.MULTILINE)[-1]
    assert last_section.startswith("Questions")
    assert 3 <= last_section.count("<summary>") <= 5
    assert text.count("<details>") == text.count("</details>")


@each_lesson
def test_lesson_imports_what_a_reader_has(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module)):
                modules = [module]
            case _:
                continue
        for module in modules:
            package = module.partition(".")[0]
            assert package in SHOWN or package in sys.stdlib_module_names, f"{path.name} imports {module}"


@each_lesson
def test_notebook_stands_alone(path: Path) -> None:
    notebook = lesson_page.portable(lessons.executed(path))
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "pip install" in text
    assert not re.search(r"\]\((?!https?:|#)", text), "a link that leads nowhere outside of the site"


OPENING = "# %% [markdown]\n# # A lesson\n#\n# You can do it.\n#\n# 10 minutes. Before: nothing.\n\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of lessons, with its own cache."""
    monkeypatch.setattr(lessons, "TUTORIALS", tmp_path)
    monkeypatch.setattr("generator.kept.CACHE", tmp_path / "cache")
    return tmp_path


def test_failing_cell_fails_the_build_and_is_not_kept(place: Path) -> None:
    (place / "01_wrong.py").write_text(OPENING + "# %%\nassert 1 + 1 == 3\n", encoding="utf-8")
    with pytest.raises(CellExecutionError, match=r"assert 1 \+ 1 == 3") as caught:
        lessons.write_lessons(place / "pages")
    assert caught.value.__notes__ == ["in the lesson 01_wrong.py"]
    assert not list(place.glob("cache/*"))


def test_lesson_runs_once_until_it_changes(place: Path) -> None:
    path = place / "01_lesson.py"
    # The cell counts how often it is run.
    path.write_text(OPENING + "# %%\nopen('count', 'a').write('+')\n", encoding="utf-8")
    lessons.executed(path)
    lessons.executed(path)
    assert (place / "count").read_text(encoding="utf-8") == "+"
    path.write_text(path.read_text(encoding="utf-8") + "1\n", encoding="utf-8")
    lessons.executed(path)
    assert (place / "count").read_text(encoding="utf-8") == "++"
    assert len(list(place.glob("cache/*"))) == 1, "what is outdated goes"


def test_lesson_leaves_nothing_behind(place: Path) -> None:
    path = place / "01_lesson.py"
    cell = "import attlas_ref\nfrom hypothesis import given, strategies as st\n"
    cell += "given(st.lists(st.integers(), min_size=50))(lambda numbers: None)()\n"
    path.write_text(OPENING + "# %%\n" + cell, encoding="utf-8")
    lessons.execute(path)
    assert list(place.iterdir()) == [path]


def test_lesson_without_minutes_is_refused(place: Path) -> None:
    path = place / "01_lesson.py"
    path.write_text("# %% [markdown]\n# # A lesson\n#\n# You can do it.\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"01_lesson\.py: .*minutes"):
        lessons.read(path)


def test_page_folds_answers_and_displays_formulas() -> None:
    page = lesson_page.foldable("2. Why?\n\n<details><summary>Answer</summary>")
    assert 'markdown="1"' in page
    assert page.startswith("**2.** Why?"), "a list would begin anew after each answer"
    assert lesson_page.displayed(r"$\displaystyle x^2$") == "$$\nx^2\n$$"


def test_mentioned_lessons_are_links() -> None:
    names = {"02": "02_dot_product", "06": "06_normalizers"}
    text = "Lessons 02 (the dot product) and 06, lesson 99, [lesson 02](02_dot_product.md), 02."
    assert lesson_page.linked(text, names) == (
        "Lessons [02](02_dot_product.md) (the dot product) and [06](06_normalizers.md), lesson 99, "
        "[lesson 02](02_dot_product.md), 02."
    )
