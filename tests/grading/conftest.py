"""Grades what a student might hand in, with few draws."""

import textwrap
from collections.abc import Callable

import pytest

from attlas.engines import simulated
from attlas.grading.grade import Report, grade_source
from attlas.grading.masters import exercise_named
from attlas.grading.process import Limits
from attlas.grading.search import Effort

# The student's process always has the simulator; in this one it changes nothing.
collect_ignore_glob = ["test_*.py"] if simulated() else []

QUICK = Effort(draws=8, simulated_draws=4, law_draws=1, shrinking=0.1, samples=12, name_a_law=False)


@pytest.fixture
def graded() -> Callable[..., Report]:
    """Grades the text of a file."""

    def grade(
        source: str, exercise: str = "softmax_attention", seconds: float = 5.0, memory: int = 2**31, **more: object
    ) -> Report:
        limits = Limits(seconds=seconds, memory=memory, total=60.0)
        text = textwrap.dedent(source)
        settings = {"seed": 7, "effort": QUICK, **more}
        return grade_source(text, "handed_in.py", exercise_named(exercise), limits=limits, **settings)  # type: ignore[arg-type]

    return grade
