"""Alignment search and segments of two sequences: against all paths and covers, long and large."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cells import Cells, as_matrix, total
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(67)
SMALL = {"operations": 600}
"""Sums over some hundred paths of at most 9 cells, whose scores are below about 10."""

# Monotonic alignment search


def searches(letters: int, frames: int) -> Iterator[Cells]:
    """Every path that gives each frame a letter, in order and leaving out none."""
    for cuts in itertools.combinations(range(1, frames), letters - 1):
        bounds = (0, *cuts, frames)
        yield tuple((x, y) for x in range(letters) for y in range(bounds[x], bounds[x + 1]))


SEARCHES = [(1, 1), (1, 4), (2, 2), (2, 5), (3, 5), (4, 4), (4, 7)]


@pytest.mark.parametrize(("letters", "frames"), SEARCHES)
@pytest.mark.parametrize("hide", [0.0, 0.3])
def test_the_search_finds_the_best_of_all_paths(letters: int, frames: int, hide: float) -> None:
    for _ in range(8):
        log_prob = RNG.normal(size=(letters, frames))
        log_prob[RNG.random(log_prob.shape) < hide] = -np.inf
        every = list(searches(letters, frames))
        scores = [total(log_prob, cells) for cells in every]
        path, score = attlas_ref.monotonic_alignment_search(log_prob, return_score=True)
        if max(scores) == -math.inf:
            assert score == -np.inf
            assert not path.any()
        else:
            best = every[int(np.argmax(scores))]
            np.testing.assert_array_equal(path, as_matrix(best, path.shape))
            assert_equal_up_to_rounding(score, max(scores), **SMALL)


def test_ties_of_a_search_stay_on_the_letter() -> None:
    # Read from the end: the last letter is kept as long as may be.
    path = attlas_ref.monotonic_alignment_search(np.zeros((3, 6)))
    assert path.argmax(axis=0).tolist() == [0, 1, 2, 2, 2, 2]


def test_texts_of_several_lengths_are_searched_each_by_itself() -> None:
    log_prob = RNG.normal(size=(5, 4, 6))
    lengths = [(4, 6), (2, 5), (1, 1), (0, 0), (3, 3)]
    mask = np.stack([(np.arange(4)[:, None] < x) & (np.arange(6) < y) for x, y in lengths])
    fouled = np.where(mask, log_prob, np.nan)
    path, score = attlas_ref.monotonic_alignment_search(fouled, mask=mask, return_score=True)
    for b, (x, y) in enumerate(lengths):
        alone = attlas_ref.monotonic_alignment_search(log_prob[b, :x, :y], return_score=True)
        np.testing.assert_array_equal(path[b, :x, :y], alone.path)
        assert path[b].sum() == y
        assert_equal_up_to_rounding(score[b], alone.score, **SMALL)


def test_a_nan_that_no_path_passes_is_not_felt() -> None:
    log_prob = RNG.normal(size=(3, 5))
    expected = attlas_ref.monotonic_alignment_search(log_prob, return_score=True)
    for cell in ((2, 0), (1, 0), (2, 1), (0, 4), (0, 3), (1, 4)):  # too early, or too late
        fouled = log_prob.copy()
        fouled[cell] = np.nan
        found = attlas_ref.monotonic_alignment_search(fouled, return_score=True)
        np.testing.assert_array_equal(found.path, expected.path)
        assert found.score == expected.score
    log_prob[1, 2] = np.nan
    path, score = attlas_ref.monotonic_alignment_search(log_prob, return_score=True)
    assert np.isnan(score)
    assert not path.any()


def test_a_long_search_is_right_where_it_is_certain() -> None:
    letters, frames = 40, 10_000
    expected = np.sort(np.concatenate([np.arange(letters), RNG.integers(0, letters, frames - letters)]))
    log_prob = 1e4 * RNG.normal(size=(letters, frames))
    log_prob[expected, np.arange(frames)] = 1e5
    path = attlas_ref.monotonic_alignment_search(log_prob)
    assert (path.argmax(axis=0) == expected).all()


@pytest.mark.parametrize(
    ("shape", "mask", "words"),
    [
        ((3, 2), None, "log_prob has 2 frames for 3 letters"),
        ((2, 3), [[True, False, True], [True, False, True]], "mask is no rectangle"),
        ((2, 3), [[True, True, False], [True, False, False]], "mask is no rectangle"),
        ((2, 3), [[True, False, False], [True, False, False]], "mask shows fewer frames"),
    ],
)
def test_a_search_without_a_path_is_refused(shape: tuple[int, int], mask: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"monotonic_alignment_search: {words}"):
        attlas_ref.monotonic_alignment_search(np.zeros(shape), mask=None if mask is None else np.array(mask))


# Segments

Blocks = tuple[tuple[int, int, int, int], ...]


def covers(rows: int, columns: int) -> Iterator[Blocks]:
    """Every cover of a matrix from corner to corner by blocks of one row or one column."""

    def continued(i: int, j: int) -> Iterator[Blocks]:
        if (i, j) == (rows, columns):
            yield ()
        if i < rows and j < columns:
            downward = [(i, k, j, j + 1) for k in range(i + 1, rows + 1)]
            sideward = [(i, i + 1, j, k) for k in range(j + 2, columns + 1)]
            for block in downward + sideward:
                for rest in continued(block[1], block[3]):
                    yield (block, *rest)

    yield from continued(0, 0)


def worth(scores: np.ndarray, blocks: Blocks, price: float) -> float:
    """A single cell costs the smaller of its two prices, whose sign is that of the price."""
    result = 0.0
    for r0, r1, c0, c1 in blocks:
        prices = []
        if c1 - c0 == 1:
            prices.append(price * (r1 - r0) / scores.shape[0])
        if r1 - r0 == 1:
            prices.append(price * (c1 - c0) / scores.shape[1])
        result += float(np.mean(scores[r0:r1, c0:c1])) - min(prices)
    return result


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (2, 3), (3, 3), (4, 3), (4, 4)])
@pytest.mark.parametrize("price", [0.0, 0.5, 3.0])
def test_segments_are_the_best_of_all_covers(shape: tuple[int, int], price: float) -> None:
    for _ in range(6):
        scores = RNG.random(shape)
        every = list(covers(*shape))
        found = [worth(scores, blocks, price) for blocks in every]
        segments, score = attlas_ref.segment_alignment(scores, length_penalty=price, return_score=True)
        assert_equal_up_to_rounding(score, max(found), **SMALL)
        assert tuple(map(tuple, segments.tolist())) == every[int(np.argmax(found))]


def test_equal_sequences_are_matched_one_to_one() -> None:
    segments = attlas_ref.segment_alignment(np.eye(5), length_penalty=0.1)
    assert segments.tolist() == [[i, i + 1, i, i + 1] for i in range(5)]


def test_a_single_row_or_column_is_one_block() -> None:
    assert attlas_ref.segment_alignment(RNG.random((1, 4))).tolist() == [[0, 1, 0, 4]]
    assert attlas_ref.segment_alignment(RNG.random((4, 1))).tolist() == [[0, 4, 0, 1]]


def test_ties_of_segments_take_long_blocks_of_one_column_first() -> None:
    # At the last cell: from (0, 1) by a block of two rows before all others.
    segments = attlas_ref.segment_alignment(np.ones((3, 2)), length_penalty=0.0)
    assert segments.tolist() == [[0, 1, 0, 1], [1, 3, 1, 2]]


@pytest.mark.parametrize("strange", [np.nan, -np.inf])
def test_what_cannot_be_covered_has_no_segments(strange: float) -> None:
    scores = np.full((3, 2), strange)
    segments, score = attlas_ref.segment_alignment(scores, return_score=True)
    assert segments.shape == (0, 4)
    np.testing.assert_equal(float(score), strange)
    # No cover of more than one row passes the last column of the first row.
    scores = RNG.random((3, 3))
    fouled = scores.copy()
    fouled[0, 2] = strange
    whole = attlas_ref.segment_alignment(fouled, return_score=True)
    np.testing.assert_array_equal(whole.segments, attlas_ref.segment_alignment(scores))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 3, 3)])
def test_segments_need_one_matrix(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="segment_alignment: scores has"):
        attlas_ref.segment_alignment(np.zeros(shape))
