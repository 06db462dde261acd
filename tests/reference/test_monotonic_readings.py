"""How frames are read as a text, and hinges on shifted alignments: against the rules word for word."""

import math
from typing import Any

import numpy as np
import pytest
from enumerated import sequences
from readings import read, score_of
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(61)


def test_lasting_longer_changes_nothing_that_is_read() -> None:
    for alignment in sequences(5, 3):
        again = np.repeat(alignment, RNG.integers(1, 4, 5))
        assert tuple(attlas_ref.ctc_collapse(again)) == tuple(attlas_ref.ctc_collapse(alignment)) == read(alignment)


def test_nothing_that_is_read_is_blank() -> None:
    for blank in range(3):
        assert all(blank not in attlas_ref.ctc_collapse(a, blank=blank) for a in sequences(5, 3))
    assert attlas_ref.ctc_collapse([]).tolist() == []


def test_a_blank_parts_equal_letters() -> None:
    assert attlas_ref.ctc_collapse([1, 0, 1]).tolist() == [1, 1]
    assert attlas_ref.ctc_collapse([1, 1]).tolist() == [1]


def test_a_certain_alignment_is_read_greedily() -> None:
    with np.errstate(divide="ignore"):
        certain = np.log(np.eye(3))
    for alignment in sequences(4, 3):
        assert tuple(attlas_ref.ctc_greedy(certain[list(alignment)])) == read(alignment)
    assert attlas_ref.ctc_greedy(np.zeros((3, 4)), blank=1).tolist() == [0]  # the lowest symbol


def test_the_greedy_text_has_the_best_alignment_of_all() -> None:
    for blank in range(4):
        log_probs = RNG.normal(size=(7, 4))
        text = attlas_ref.ctc_greedy(log_probs, blank=blank)
        score = attlas_ref.ctc_viterbi(log_probs, text, blank=blank).score
        assert_equal_up_to_rounding(score, log_probs.max(axis=-1).sum(), operations=600)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: attlas_ref.ctc_collapse([[1]]), "alignment has shape"),
        (lambda: attlas_ref.ctc_collapse([-1]), "alignment runs from -1"),
        (lambda: attlas_ref.ctc_collapse([1], blank=-1), "blank is -1"),
        (lambda: attlas_ref.ctc_greedy(np.zeros(3)), "log_probs has shape"),
        (lambda: attlas_ref.ctc_greedy(np.zeros((3, 2)), blank=2), "blank is 2"),
        (lambda: attlas_ref.shift_alignment([1, 1], position=2), "position is 2"),
        (lambda: attlas_ref.shift_alignment([1, 0, 1], position=1), "position is 1"),
        (lambda: attlas_ref.shift_alignment([0, 1, 0], position=1), "position is 1"),
    ],
)
def test_what_cannot_be_read_is_refused(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


# Hinges


def test_a_shift_is_read_alike_or_refused() -> None:
    for alignment in sequences(5, 3):
        for position in range(5):
            shorter = [*alignment[:position], *alignment[position + 1 :], 0]
            if read(shorter) == read(alignment):
                assert attlas_ref.shift_alignment(alignment, position=position).tolist() == shorter
            else:
                with pytest.raises(ValueError, match="the text needs its symbol"):
                    attlas_ref.shift_alignment(alignment, position=position)


def test_what_may_be_left_out_repeats_its_neighbor_or_is_a_needless_blank() -> None:
    for alignment in sequences(5, 3):
        for position, symbol in enumerate(alignment):
            around = [*alignment[max(position - 1, 0) : position], *alignment[position + 1 : position + 2]]
            parts_equal_letters = len(around) == 2 and around[0] == around[1]
            may_go = symbol in around or (symbol == 0 and not parts_equal_letters)
            shorter = [*alignment[:position], *alignment[position + 1 :], 0]
            assert may_go == (read(shorter) == read(alignment))


@pytest.mark.parametrize("space", ["probability", "log"])
def test_the_hinge_is_its_definition(space: str) -> None:
    log_probs = np.log(RNG.dirichlet(np.ones(3), size=(2, 1, 4)))
    alignments, improved = RNG.integers(0, 3, (2, 2, 5, 4))
    loss = attlas_ref.align_with_purpose_loss(log_probs, alignments[None], improved, margin=0.1, space=space)
    assert loss.shape == (2, 2)
    form = math.exp if space == "probability" else float
    for b, c in np.ndindex(2, 2):
        terms = [
            max(
                0.0,
                form(score_of(log_probs[b, 0], alignments[c, a]))
                - form(score_of(log_probs[b, 0], improved[c, a]))
                + 0.1,
            )
            for a in range(5)
        ]
        assert_equal_up_to_rounding(loss[b, c], math.fsum(terms) / 5, operations=40, magnitude=20)


def test_impossible_alignments_are_equal() -> None:
    log_probs = np.array([[0.0, -np.inf]])
    for space in ("probability", "log"):
        loss = attlas_ref.align_with_purpose_loss(log_probs, [[1]], [[1]], margin=0.25, space=space)
        assert loss == 0.25
        assert attlas_ref.align_with_purpose_loss(log_probs, [[1]], [[0]], margin=0.25, space=space) == 0
    none = np.zeros((0, 1), dtype=np.int64)
    assert attlas_ref.align_with_purpose_loss(log_probs, none, none) == 0
    with pytest.raises(ValueError, match="alignments leaves the symbols"):
        attlas_ref.align_with_purpose_loss(log_probs, [[2]], [[0]])
