"""Time warping: against all paths, long and large."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from cells import Cells, as_matrix, total
from enumerated import summed
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(67)
SMALL = {"operations": 600}
"""Sums over some hundred paths of at most 9 cells, whose scores are below about 10."""


def warpings(rows: int, columns: int) -> Iterator[Cells]:
    """Every path from the first cell to the last by steps down, to the right and along the diagonal."""

    def continued(i: int, j: int) -> Iterator[Cells]:
        if (i, j) == (rows - 1, columns - 1):
            yield ((i, j),)
        for down, right in ((1, 1), (1, 0), (0, 1)):
            if i + down < rows and j + right < columns:
                for rest in continued(i + down, j + right):
                    yield ((i, j), *rest)

    yield from continued(0, 0)


SHAPES = [(1, 1), (1, 4), (3, 1), (2, 2), (3, 4), (4, 4)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gamma", [0.1, 1.0, 20.0])
@pytest.mark.parametrize("hide", [0.0, 0.2])
def test_soft_warping_is_the_sum_over_all_paths(shape: tuple[int, int], gamma: float, hide: float) -> None:
    for _ in range(4):
        cost = RNG.normal(size=shape) ** 2
        cost[RNG.random(shape) < hide] = np.inf
        log_weight, passed = summed(warpings(*shape), lambda cells, cost=cost: -total(cost, cells) / gamma, iter, shape)
        value, alignment = attlas_ref.soft_dtw(cost, gamma=gamma, return_alignment=True)
        if log_weight == -math.inf:
            assert value == np.inf
        else:
            assert_equal_up_to_rounding(value, -gamma * log_weight, operations=60, magnitude=20 * max(gamma, 1))
        # Weights err by what their exponents err.
        assert_equal_up_to_rounding(alignment, passed, operations=600, magnitude=max(1, 1 / gamma))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("hide", [0.0, 0.2])
def test_warping_is_the_cheapest_of_all_paths(shape: tuple[int, int], hide: float) -> None:
    for _ in range(8):
        cost = RNG.normal(size=shape) ** 2
        cost[RNG.random(shape) < hide] = np.inf
        every = list(warpings(*shape))
        costs = [total(cost, cells) for cells in every]
        value, path = attlas_ref.dtw_path(cost)
        if min(costs) == math.inf:
            assert value == np.inf
            assert not path.any()
        else:
            assert_equal_up_to_rounding(value, min(costs), **SMALL)
            np.testing.assert_array_equal(path, as_matrix(every[int(np.argmin(costs))], shape))


def test_ties_of_warping_take_the_diagonal_then_the_step_from_above() -> None:
    assert attlas_ref.dtw_path(np.zeros((3, 3))).path.tolist() == np.eye(3).tolist()
    # From the last cell: the diagonal costs 1, from above and from the left nothing.
    cost = np.array([[0.0, 0.0], [0.0, 0.0]])
    assert attlas_ref.dtw_path(np.pad(cost, ((0, 0), (0, 1)))).path.tolist() == [[1, 1, 0], [0, 0, 1]]
    assert attlas_ref.dtw_path(np.array([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]])).path.tolist() == [
        [1, 1, 0],
        [0, 0, 1],
        [0, 0, 1],
    ]


def test_cold_warping_is_the_cheapest_path_and_warm_warping_any() -> None:
    cost = RNG.normal(size=(4, 5)) ** 2
    hard = attlas_ref.dtw_path(cost)
    gamma = 1e-6
    cold = attlas_ref.soft_dtw(cost, gamma=gamma, return_alignment=True)
    assert_equal_up_to_rounding(cold.alignment, hard.path, operations=60, magnitude=20 / gamma)
    assert_equal_up_to_rounding(cold.value, hard.value, **SMALL)
    every = [as_matrix(cells, cost.shape) for cells in warpings(*cost.shape)]
    warm = attlas_ref.soft_dtw(cost, gamma=1e12, return_alignment=True).alignment
    assert np.abs(warm - np.mean(every, axis=0)).max() < 1e3 * 1e-12  # costs of at most some hundreds, over gamma


def test_a_long_warping_of_large_costs_is_that_of_a_short_band() -> None:
    # Three columns; the paths are cheap along known ones, so the sum over all of them is one path.
    rows = 3000
    column = np.sort(np.concatenate([[0, 1, 2], RNG.integers(0, 3, rows - 3)]))
    cost = 1e4 * (1 + RNG.random((rows, 3)))
    cost[np.arange(rows), column] = 1e4 * RNG.random(rows)
    value, path = attlas_ref.dtw_path(cost)
    soft, alignment = attlas_ref.soft_dtw(cost, return_alignment=True)
    np.testing.assert_array_equal(path, np.eye(3, dtype=int)[column])
    assert np.abs(alignment - path).max() < 1e-3
    assert soft <= value < soft + 1


@pytest.mark.parametrize("name", ["soft_dtw", "dtw_path"])
def test_a_nan_on_the_way_leaves_no_best(name: str) -> None:
    cost = RNG.random((2, 3, 4))
    cost[1, 1, 2] = np.nan
    options = {"return_alignment": True} if name == "soft_dtw" else {}
    value, path = getattr(attlas_ref, name)(cost, **options)
    assert np.isfinite(value[0])
    assert path[0].any()
    assert np.isnan(value[1])
    assert np.isnan(path[1]).any() if name == "soft_dtw" else not path[1].any()


@pytest.mark.parametrize("strange", [np.nan, -np.inf])
def test_a_cell_behind_walls_is_not_felt(strange: float) -> None:
    cost = np.array([[1.0, np.inf, strange], [1.0, np.inf, np.inf], [1.0, 2.0, 3.0]])
    value, path = attlas_ref.dtw_path(cost)
    assert value == 7
    assert path.tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 1]]
    soft, alignment = attlas_ref.soft_dtw(cost, gamma=1e-3, return_alignment=True)
    assert np.isfinite(soft)
    assert not alignment[:2, 1:].any()


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
@pytest.mark.parametrize("name", ["soft_dtw", "dtw_path"])
def test_warping_needs_two_series(name: str, shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"{name}: cost has"):
        getattr(attlas_ref, name)(np.zeros(shape))
