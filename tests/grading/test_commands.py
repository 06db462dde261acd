"""`attlas exercises` and `attlas grade` as a user meets them."""

import json
import textwrap
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from attlas.cli.app import app
from attlas.grading.copies import notebook, student_copy
from attlas.grading.grade import assert_right
from attlas.grading.masters import exercise_named, exercises

EXERCISE = "merge_attention_partials"


def run(*args):
    return CliRunner().invoke(app, list(map(str, args)), prog_name="attlas")


@pytest.fixture
def solved(tmp_path):
    path = tmp_path / "solved.py"
    text = student_copy(exercise_named(EXERCISE)).partition("# %% [markdown]")[0]
    path.write_text(text + exercise_named(EXERCISE).solution)
    return path


def test_every_exercise_is_listed():
    listed = json.loads(run("exercises", "--json").stdout)
    assert [exercise["name"] for exercise in listed] == list(exercises())


def test_family_is_listed():
    listed = json.loads(run("exercises", "dotproduct", "--json").stdout)
    assert {exercise["group"] for exercise in listed} == {"dotproduct"}


def test_copy_is_written_once_and_never_over_somebodys_work(tmp_path):
    assert run("exercises", EXERCISE, "--output", tmp_path).exit_code == 0
    path = tmp_path / f"{EXERCISE}.py"
    path.write_text("my work")
    again = run("exercises", EXERCISE, "--output", tmp_path)
    assert again.exit_code == 2
    assert "may hold somebody's work" in again.stderr
    assert path.read_text() == "my work"


def test_unknown_exercise_says_what_was_meant():
    assert "did you mean softmax_attention?" in run("exercises", "softmax_atention").stderr


def test_copy_that_nobody_worked_on_fails(tmp_path):
    run("exercises", EXERCISE, "--output", tmp_path)
    result = run("grade", tmp_path / f"{EXERCISE}.py")
    assert result.exit_code == 1
    assert "is not written yet" in result.stdout
    assert "0 of 2 points" in result.stdout


def test_right_answer_passes(solved):
    result = run("grade", solved)
    assert result.exit_code == 0, result.output
    assert "2 of 2 points" in result.stdout


def test_notebook_is_graded_as_the_script_is(tmp_path):
    pytest.importorskip("jupytext")
    path = tmp_path / "mine.ipynb"
    made = json.loads(notebook(exercise_named(EXERCISE)))
    stub = next(cell for cell in made["cells"] if "raise NotImplementedError" in "".join(cell["source"]))
    body = exercise_named(EXERCISE).text.split("### BEGIN SOLUTION")[1].split("### END SOLUTION")[0]
    stub["source"] = "%matplotlib inline\n" + "".join(stub["source"]).replace("    raise NotImplementedError", body)
    path.write_text(json.dumps(made))
    assert run("grade", path).exit_code == 0


def test_notebook_has_what_nbgrader_reads():
    pytest.importorskip("jupytext")
    made = json.loads(notebook(exercise_named(EXERCISE), teacher=True))
    roles = [cell["metadata"]["nbgrader"] for cell in made["cells"]]
    assert sum(role["solution"] for role in roles) == 1
    assert [role["points"] for role in roles if role["grade"]] == [2]
    assert len({role["grade_id"] for role in roles}) == len(roles)
    hidden = [cell for cell in made["cells"] if "HIDDEN TESTS" in "".join(cell["source"])]
    assert all(cell["metadata"]["nbgrader"]["grade"] for cell in hidden)  # nbgrader refuses them elsewhere
    assert any("### BEGIN SOLUTION" in "".join(cell["source"]) for cell in made["cells"])


def test_teachers_cell_raises_for_a_wrong_function():
    with pytest.raises(AssertionError, match=r"the formula: "):
        assert_right(lambda first, second: first, EXERCISE)


def test_json_has_the_failure_in_full(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def merge_attention_partials(first, second):\n    return first\n")
    result = run("grade", path, "--exercise", EXERCISE, "--json", "--seed", "5")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    (file,) = report["files"]
    assert (file["seed"], file["status"], file["points"], report["of"]) == (5, "failed", 0, 2)
    assert {"words", "inputs", "result", "expected", "law", "likely"} <= set(file["failure"])
    assert set(file["failure"]["inputs"]) == {"first", "second"}


def test_junit_has_a_case_per_rule(tmp_path, solved):
    wrong = tmp_path / f"{EXERCISE}.py"
    wrong.write_text("print('\\x00\\x1b[31m')\ndef merge_attention_partials(first, second):\n    return first\n")
    where, points = tmp_path / "report.xml", tmp_path / "results.json"
    result = run("grade", solved, wrong, "--junit", where, "--gradescope", points)
    assert result.exit_code == 1
    assert "1 of 2 files pass, 2 of 4 points" in result.stdout
    suites = ElementTree.parse(where).getroot()
    assert [suite.get("failures") for suite in suites] == ["0", "1"]
    assert [test["score"] for test in json.loads(points.read_text())["tests"]] == [2, 0]


def test_folder_is_graded_file_by_file(tmp_path, solved):
    (tmp_path / "grace").mkdir()
    solved.rename(tmp_path / "grace" / f"{EXERCISE}.py")
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "poem.py").write_text("# no exercise\n")
    result = run("grade", tmp_path, "--json")
    assert result.exit_code == 2
    report = json.loads(result.stdout)
    assert [file["status"] for file in report["files"]] == ["passed"]
    assert "no exercise is named 'poem'" in report["ungraded"][0]["reason"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.py", None, "there is no such file"),
        ("notes.txt", b"", "a .py or an .ipynb"),
        ("poem.py", b"", "no exercise is named 'poem'"),
        ("bytes.py", b"\xff\xfe\x00", "no text in UTF-8"),
        ("broken.ipynb", b"{", "this is no notebook"),
    ],
)
def test_file_that_cannot_be_graded_is_told_in_one_line(tmp_path, name, content, said):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    result = run("grade", path)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_wrong_answer_is_told_so_that_it_helps(tmp_path):
    path = tmp_path / "softmax_attention.py"
    path.write_text(
        textwrap.dedent("""
        import numpy as np


        def softmax_attention(query, key, value, *, mask=None, causal=False, scale=None):
            (m, d), n = query.shape[-2:], key.shape[-2]
            scores = query @ key.mT * (d**-0.5 if scale is None else scale)
            visible = np.tri(m, n, dtype=bool) if causal else np.ones((m, n), dtype=bool)
            if mask is not None:
                visible = visible & mask
            scores = np.where(visible, scores, -np.inf)
            highest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
            unnormalized = np.exp(scores - np.where(highest == -np.inf, 0, highest))
            total = unnormalized.sum(axis=-1, keepdims=True)
            return unnormalized / np.where(total == 0, 1, total) @ value
        """)
    )
    said = run("grade", path).stdout
    assert "FAILED  with causal" in said
    assert "causal = True" in said
    assert "Let query i see key j iff j <= i + n - m." in said
    assert "Likely mistake: The causal mask is aligned at the first key." in " ".join(said.split())
