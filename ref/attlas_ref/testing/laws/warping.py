"""What paths through two sequences obey: alignment search, segments, time warping.

| in the specification | law, or test in `tests/reference/test_monotonic_dynamics.py` |
| --- | --- |
| search: one letter per frame, in order, all used | `each_frame_gets_a_letter_in_order` |
| search: brute force | `test_the_search_finds_the_best_of_all_paths` |
| search: score = Σ path · s | `the_score_of_a_search_is_the_sum_along_its_path` |
| segments: blocks partition rows and columns | `blocks_cover_both_sequences_in_order` |
| segments: identity, M = 1, N = 1 | `test_equal_sequences_are_matched_one_to_one`, |
| | `test_a_single_row_or_column_is_one_block` |
| segments: brute force | `test_segments_are_the_best_of_all_covers` |
| soft <= hard | `the_soft_minimum_is_below_the_minimum` |
| soft -> hard as γ -> 0 | `the_soft_minimum_is_below_the_minimum`, whose lower bound is γ log of the number of paths |
| E >= 0, 1 in the corners | `all_paths_pass_two_corners`, `raising_a_cell_tells_how_often_it_is_passed` |
| soft: −γ log Σ over paths | `test_soft_warping_is_the_sum_over_all_paths` |
| hard: unit steps from corner to corner | `a_warping_path_goes_from_corner_to_corner` |
| hard: value = Σ path · cost | `the_value_of_warping_is_the_sum_along_its_path` |
| hard: brute force | `test_warping_is_the_cheapest_of_all_paths` |
| hard: transposed | `series_may_change_places` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same

SEARCH, SEGMENTS, SOFT, HARD = "monotonic_alignment_search", "segment_alignment", "soft_dtw", "dtw_path"
WITH_SCORE = {"return_score": True}


def _rectangle(call: Call) -> tuple[Any, Any]:
    """Which letters and which frames count, (..., X) and (..., Y)."""
    (log_prob,) = call.arrays
    mask = call.options.get("mask")
    visible = np.broadcast_to(
        True if mask is None else mask, np.broadcast_shapes(log_prob.shape, () if mask is None else mask.shape)
    )
    return visible.any(axis=-1), visible.any(axis=-2)


@law(SEARCH, statement="x_0 = 0, x_(Y−1) = X − 1, x_y − x_(y−1) in {0, 1}, every letter used")
def each_frame_gets_a_letter_in_order(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    path = call.by(f)
    letters, frames = _rectangle(call)
    x = (path * np.arange(path.shape[-2])[:, None]).sum(axis=-2)  # (..., Y)
    steps = np.where(frames[..., 1:], np.diff(x, axis=-1), 0)
    first = path[..., :1, :1].sum(axis=(-2, -1))
    return (
        same(path.sum(axis=-2), frames.astype(path.dtype)),
        same(path.any(axis=-1), letters),
        same((steps == 0) | (steps == 1), np.ones_like(steps, dtype=bool)),
        same(first, letters.any(axis=-1).astype(first.dtype)),
    )


@law(SEARCH, statement="score = Σ_xy path_xy s_xy", fixed=WITH_SCORE)
def the_score_of_a_search_is_the_sum_along_its_path(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    path, score = call.by(f)
    return equal(score, np.where(path == 1, call.arrays[0], 0).sum(axis=(-2, -1)))


@law(SEARCH, statement="Σ path'_xy s_xy <= score for every path'", fixed=WITH_SCORE)
def no_path_beats_that_of_the_search(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (log_prob,) = call.arrays
    other = call.given(rng.normal(size=log_prob.shape).astype(log_prob.dtype)).by(f).path
    return at_most(np.where(other == 1, log_prob, 0).sum(axis=(-2, -1)), call.by(f).score)


@law(SEARCH, statement="s_xy + c_y: the path stays, the score grows by Σ c_y", fixed=WITH_SCORE)
def constants_per_frame_leave_the_search(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (log_prob,) = call.arrays
    constants = rng.integers(-2, 3, log_prob.shape[-1]).astype(log_prob.dtype)
    before, after = call.by(f), call.given(log_prob + constants).by(f)
    moved = np.where(_rectangle(call)[1], constants, 0).sum(axis=-1)
    return equal(after.path, before.path), equal(after.score, before.score + moved)


@law(SEARCH, statement="f(letters and frames reversed) has the same score", fixed={**WITH_SCORE, "mask": None})
def a_search_may_start_at_the_end(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (log_prob,) = call.arrays
    return equal(call.given(log_prob[..., ::-1, ::-1]).by(f).score, call.by(f).score)


@law(SEARCH, statement="f(s, mask = a rectangle) = f(that rectangle of s), and 0 outside", fixed=WITH_SCORE,
     least={"x": 1, "y": 1})  # fmt: skip
def a_mask_cuts_out_a_rectangle(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (log_prob,) = call.arrays
    letters, frames = log_prob.shape[-2:]
    heard = int(rng.integers(1, frames + 1))
    read = int(rng.integers(1, min(letters, heard) + 1))
    mask = (np.arange(letters)[:, None] < read) & (np.arange(frames) < heard)
    whole = call.given(np.where(mask, log_prob, log_prob.dtype.type(np.nan)), mask=mask).by(f)
    part = call.given(log_prob[..., :read, :heard], mask=None).by(f)
    outside = np.where(mask, 0, whole.path)
    return (
        same(whole.path[..., :read, :heard], part.path),
        same(outside, np.zeros_like(outside)),
        equal(whole.score, part.score),
    )


def _worth(scores: Any, segments: Any, length_penalty: float) -> Any:
    """What blocks score together; a single cell counts as the kind of block that costs less."""
    rows, columns = scores.shape
    total = np.zeros((), dtype=scores.dtype)
    for r0, r1, c0, c1 in np.asarray(segments).tolist():
        prices = [(r1 - r0) / rows] * (c1 - c0 == 1) + [(c1 - c0) / columns] * (r1 - r0 == 1)
        price = max(-length_penalty * price for price in prices)
        total = total + scores[r0:r1, c0:c1].mean() + price
    return total


@law(SEGMENTS, statement="blocks follow each other in rows and columns, and cover [0, M) and [0, N)", fixed=WITH_SCORE)
def blocks_cover_both_sequences_in_order(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (scores,) = call.arrays
    segments = np.asarray(call.by(f).segments)
    rows, columns = (np.zeros(size, dtype=np.int64) for size in scores.shape)
    single = True
    for r0, r1, c0, c1 in segments.tolist():
        rows[r0:r1] += 1
        columns[c0:c1] += 1
        single &= 1 in (r1 - r0, c1 - c0)
    ordered = bool((np.diff(segments, axis=0) >= 0).all())
    return (
        same(rows, np.ones_like(rows)),
        same(columns, np.ones_like(columns)),
        same(np.array([single, ordered]), np.array([True, True])),
    )


@law(SEGMENTS, statement="score = Σ over blocks of the mean less ρ length / (M or N)", fixed=WITH_SCORE)
def the_score_of_segments_is_the_sum_of_blocks(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    segments, score = call.by(f)
    return equal(score, _worth(call.arrays[0], segments, call.options.get("length_penalty", 0.5)))


@law(SEGMENTS, statement="Σ over the blocks of any cover <= score", fixed=WITH_SCORE)
def no_cover_beats_the_segments(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (scores,) = call.arrays
    other = call.given(rng.normal(size=scores.shape).astype(scores.dtype)).by(f).segments
    return at_most(_worth(scores, other, call.options.get("length_penalty", 0.5)), call.by(f).score)


@law(SEGMENTS, statement="f(sᵀ) has the same score", fixed=WITH_SCORE)
def segments_may_change_places(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (scores,) = call.arrays
    return equal(call.given(scores.T).by(f).score, call.by(f).score)


@law(SEGMENTS, statement="f(2 s, 2 ρ) has twice the score", fixed=WITH_SCORE)
def segments_have_no_unit(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (scores,) = call.arrays
    twice = call.given(2 * scores, length_penalty=2 * call.options.get("length_penalty", 0.5))
    return equal(twice.by(f).score, 2 * call.by(f).score)


def _log_paths(rows: int, columns: int) -> float:
    """The logarithm of the number of warping paths, a number of Delannoy."""
    count = np.ones((rows, columns))
    for i in range(1, rows):
        for j in range(1, columns):
            count[i, j] = count[i - 1, j] + count[i, j - 1] + count[i - 1, j - 1]
    return float(np.log(count[-1, -1]))


@law(SOFT, ties=(HARD,), statement="dtw − γ log(number of paths) <= soft_dtw <= dtw")
def the_soft_minimum_is_below_the_minimum(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (cost,) = call.arrays
    soft, hard = call.by(f), f(HARD, cost).value
    gap = call.options.get("gamma", 1.0) * _log_paths(*cost.shape[-2:])
    return at_most(soft, hard), at_most(hard - gap, soft)


@law(SOFT, statement="D_ij + 1: exp(−R/γ) changes by the factor 1 + E_ij (e^(−1/γ) − 1)",
     fixed={"return_alignment": True})  # fmt: skip
def raising_a_cell_tells_how_often_it_is_passed(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (cost,) = call.arrays
    i, j = (int(rng.integers(size)) for size in cost.shape[-2:])
    gamma = call.options.get("gamma", 1.0)
    raised = cost.copy()
    raised[..., i, j] += 1
    before, after = call.by(f), call.given(raised).by(f)
    return equal(after.value, before.value - gamma * np.log1p(before.alignment[..., i, j] * np.expm1(-1 / gamma)))


@law(SOFT, statement="E >= 0, E_11 = E_rc = 1, and E sums to at least 1 in every row and column",
     fixed={"return_alignment": True})  # fmt: skip
def all_paths_pass_two_corners(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    alignment = call.by(f).alignment
    one = np.ones_like(alignment[..., 0, 0])
    return (
        at_most(np.zeros_like(alignment), alignment),
        equal(alignment[..., 0, 0], one),
        equal(alignment[..., -1, -1], one),
        at_most(one[..., None], alignment.sum(axis=-1)),
        at_most(one[..., None], alignment.sum(axis=-2)),
    )


@law(SOFT, statement="f(2 D, 2 γ) = (2 R, E)", fixed={"return_alignment": True})
def warping_has_no_unit(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (cost,) = call.arrays
    once, twice = call.by(f), call.given(2 * cost, gamma=2 * call.options.get("gamma", 1.0)).by(f)
    return equal(twice.value, 2 * once.value), equal(twice.alignment, once.alignment)


@law((SOFT, HARD), statement="f(Dᵀ) = f(D) with rows for columns", fixed={"return_alignment": True})
def series_may_change_places(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (cost,) = call.arrays
    here, there = call.by(f), call.given(cost.mT).by(f)
    values = equal(there.value, here.value)
    # Ties of paths are not symmetric.
    return (values,) if call.name == HARD else (values, equal(there.alignment.mT, here.alignment))


@law((SOFT, HARD), statement="f(D read from the end) = f(D)", fixed={"return_alignment": True})
def series_may_run_backward(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (cost,) = call.arrays
    here, there = call.by(f), call.given(cost[..., ::-1, ::-1]).by(f)
    values = equal(there.value, here.value)
    return (values,) if call.name == HARD else (values, equal(there.alignment[..., ::-1, ::-1], here.alignment))


@law(HARD, statement="the path has both corners, and from each cell goes on to one of three neighbors")
def a_warping_path_goes_from_corner_to_corner(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    path = np.asarray(call.by(f).path)
    wrong = np.zeros(path.shape[:-2], dtype=np.int64)
    for place in np.ndindex(path.shape[:-2]):
        cells = np.argwhere(path[place])  # row by row, as the path runs
        steps = {tuple(step) for step in np.diff(cells, axis=0).tolist()}
        corners = cells[0].tolist() == [0, 0] and cells[-1].tolist() == [size - 1 for size in path.shape[-2:]]
        wrong[place] = not corners or not steps <= {(1, 1), (1, 0), (0, 1)}
    return same(wrong, np.zeros_like(wrong))


@law(HARD, statement="value = Σ_ij path_ij D_ij")
def the_value_of_warping_is_the_sum_along_its_path(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    value, path = call.by(f)
    return equal(value, np.where(path == 1, call.arrays[0], 0).sum(axis=(-2, -1)))


@law(HARD, statement="value <= Σ_ij path'_ij D_ij for every path'")
def no_path_is_cheaper_than_that_of_warping(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (cost,) = call.arrays
    other = call.given(rng.normal(size=cost.shape).astype(cost.dtype)).by(f).path
    return at_most(call.by(f).value, np.where(other == 1, cost, 0).sum(axis=(-2, -1)))
