"""Places, words and speakers are whole numbers: none is rounded to the precision of the arrays beside it."""

from typing import Any

import numpy as np
import pytest

from attlas_ref.testing import Candidate

FIRST = 2**24
"""float32 holds this whole number, and not the next one."""
KINDS = [np.int64, np.float64]


@pytest.mark.parametrize("kind", KINDS)
def test_neighboring_words_are_not_confused(candidate: Candidate, kind: Any) -> None:
    words = np.array([FIRST, FIRST + 1]).astype(kind)
    half, weights = np.full(1, 0.5, np.float32), np.float32([[0.75, 0.25]])
    found = candidate("copy_log_prob", np.ones((1, 1), np.float32), weights, half, words, words[1:])
    np.testing.assert_allclose(found, [np.log(0.5 * 0.25)], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_begins_at_its_key(candidate: Candidate, kind: Any) -> None:
    key, value = np.zeros((2, 1), np.float32), np.float32([[1], [2]])
    center = np.array([FIRST + 1]).astype(kind)  # one place less, and the window would begin at the first key
    found = candidate("windowed_soft_attention", key[:1], key, value, center, left=FIRST, right=0)
    np.testing.assert_allclose(found, [[2]])


@pytest.mark.parametrize("kind", KINDS)
def test_neighboring_speakers_are_two_people(candidate: Candidate, kind: Any) -> None:
    stays, turns = np.random.default_rng(0).normal(size=(2, 2, 2)).astype(np.float32)
    nothing = np.zeros(2, np.float32)

    def log_partition(speakers: Any) -> Any:
        return candidate(
            "skip_chain_crf", np.zeros((3, 2), np.float32), np.zeros(3, np.int64), np.array(speakers).astype(kind),
            start=nothing, end=nothing, self_transition=stays, other_transition=turns,
        ).log_partition  # fmt: skip

    assert log_partition([FIRST, FIRST + 1, FIRST]) == log_partition([0, 1, 0]) != log_partition([0, 0, 0])


@pytest.mark.parametrize(("left", "right", "mean"), [(10**20, 10**20, 6.0), (10**20, 0, 4.5), (0, 10**20, 7.5)])
def test_a_window_may_be_wider_than_any_integer_of_the_machine(
    candidate: Candidate, left: int, right: int, mean: float
) -> None:
    key, value = np.zeros((3, 1)), np.array([[3.0], [6.0], [9.0]])
    found = candidate("windowed_soft_attention", key[:1], key, value, np.array([1]), left=left, right=right)
    np.testing.assert_allclose(found, [[mean]])
