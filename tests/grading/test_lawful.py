"""The laws by which a student's function is checked: only those that the options of the exercise can state."""

import dataclasses

import pytest

from attlas.grading.lawful import broken_law
from attlas.grading.masters import Exercise, exercise_named, exercises
from attlas.grading.process import Reply
from attlas_ref.records import find
from attlas_ref.testing.plan import Call


def right(call: Call) -> Reply:
    """What a function returns that has no fault."""
    return Reply(find(call.name).reference(*call.arrays, **call.options))


def without_options(formulation: str) -> Exercise:
    """An exercise that leaves out all options."""
    return dataclasses.replace(exercise_named("softmax_attention"), formulation=formulation, options=())


# Its draws may be outside of its regime, which it says.
@pytest.mark.filterwarnings("ignore:tensor_attention_lowrank. scores reach:RuntimeWarning")
@pytest.mark.parametrize("name", exercises())
def test_what_is_right_breaks_no_law(name: str) -> None:
    assert broken_law(exercise_named(name), right, number=0, draws=3) is None


def test_a_law_that_turns_off_what_is_left_out_is_not_asked() -> None:
    """Without its option `log` it returns logarithms, and its law speaks of probabilities."""
    assert broken_law(without_options("monotonic_position_log_prob"), right, number=0, draws=3) is None


def test_a_law_that_fixes_a_default_is_asked() -> None:
    """The axis is the last one."""

    def twice(call: Call) -> Reply:
        return Reply(2 * right(call).result)

    broken = broken_law(without_options("sparsemax"), twice, number=0, draws=3)
    assert broken is not None
    assert "axis" in broken.law.fixed
