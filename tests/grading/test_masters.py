"""Every exercise: its solution passes, its stub fails, and each of its known mistakes is told in its own words."""

import re
from importlib.util import find_spec

import pytest

from attlas.grading import process
from attlas.grading.copies import student_copy
from attlas.grading.masters import MasterError, exercises, front_matter, read

NAMES = list(exercises())
MISTAKES = [(name, mistake) for name in NAMES for mistake in exercises()[name].mistakes]


@pytest.mark.parametrize("name", NAMES)
def test_solution_passes(graded, name):
    report = graded(exercises()[name].solution, name, seconds=30.0)
    assert report.failure is None
    assert report.points == report.of


def test_kernels_are_graded_without_greenlet_too(graded, monkeypatch):
    monkeypatch.setattr(process, "_spec", lambda name: None if name == "greenlet" else find_spec(name))
    report = graded(exercises()["one_thread_per_query"].solution, "one_thread_per_query", seconds=30.0)
    assert report.failure is None


@pytest.mark.parametrize("name", NAMES)
def test_student_copy_fails(graded, name):
    report = graded(student_copy(exercises()[name]), name, seconds=30.0)
    assert report.failure is not None
    assert "is not written yet" in report.failure.words
    assert report.points == 0


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("name", "mistake"), MISTAKES)
def test_mistake_is_told_in_its_own_words(graded, name, mistake):
    exercise = exercises()[name]
    report = graded(exercise.with_mistakes, name, seconds=30.0, function=mistake)
    assert report.failure is not None
    assert report.failure.likely == exercise.mistakes[mistake], report.failure


@pytest.mark.parametrize("name", NAMES)
def test_student_copy_gives_nothing_away(name):
    exercise, copy = exercises()[name], student_copy(exercises()[name])
    assert not re.search(r"BEGIN|END SOLUTION|HIDDEN|mistakes:", copy)
    assert "raise NotImplementedError" in copy
    assert not any(f"def {mistake}(" in copy or words in copy for mistake, words in exercise.mistakes.items())
    compile(copy, name, "exec")


@pytest.mark.parametrize("name", NAMES)
def test_lines_are_those_of_the_solution(name):
    exercise = exercises()[name]
    body = exercise.text.split("### BEGIN SOLUTION")[1].split("### END SOLUTION")[0]
    lines = [line for line in body.split("\n") if line.strip() and not line.strip().startswith("#")]
    assert 0.6 * len(lines) <= exercise.lines <= 1.6 * len(lines)


def test_front_matter_needs_every_part(tmp_path):
    path = tmp_path / "short.py"
    path.write_text("# ---\n# attlas:\n#   formulation: softmax_attention\n#   lines: 3\n#   linse: 3\n# ---\n")
    with pytest.raises(MasterError, match=r"lacks options, minutes, points, mistakes and does not know linse"):
        read(path)


def test_front_matter_that_is_no_yaml_names_the_file(tmp_path):
    with pytest.raises(MasterError, match=r"short\.py: the front matter is no YAML"):
        front_matter("# ---\n# attlas: {a: b: c}\n# ---\n", tmp_path / "short.py")


def test_script_without_front_matter_has_none(tmp_path):
    assert front_matter("x = 1\n", tmp_path / "plain.py") == {}
