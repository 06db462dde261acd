"""Tours and chains of scores: against all orders."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(67)
SMALL = {"operations": 100, "magnitude": 10.0}
"""Sums of at most 8 distances, and logits below 10."""


def shortest_by_enumeration(distance: np.ndarray) -> float:
    """The length of the shortest of all tours from 0."""
    n = len(distance)
    tours = np.array([(0, *rest) for rest in permutations(range(1, n))])
    return float(distance[tours, np.roll(tours, -1, axis=1)].sum(axis=1).min())


def distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points, axis=-1)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("n", [2, 3, 4, 6, 8])
def test_the_tour_is_the_shortest_of_all(n: int, symmetric: bool) -> None:
    for _ in range(3):
        distance = distances(RNG.random((n, 2))) if symmetric else RNG.random((n, n))
        length, tour = attlas_ref.held_karp(distance)
        assert sorted(tour.tolist()) == list(range(n))
        assert tour[0] == 0
        assert_equal_up_to_rounding(length, shortest_by_enumeration(distance), **SMALL)
        assert_equal_up_to_rounding(length, distance[tour, np.roll(tour, -1)].sum(), **SMALL)


def test_a_symmetric_tour_goes_to_the_smaller_neighbor_first() -> None:
    for _ in range(10):
        tour = attlas_ref.held_karp(distances(RNG.random((7, 2)))).tour
        assert tour[1] < tour[-1]
    around = np.full((5, 5), 9.0)
    around[np.arange(5), np.arange(5) - 1] = 1  # 0 → 4 → 3 → 2 → 1 → 0, one way
    assert attlas_ref.held_karp(around).tour.tolist() == [0, 4, 3, 2, 1]


def test_tours_of_few_cities_and_of_none() -> None:
    for n in (0, 1):
        length, tour = attlas_ref.held_karp(np.full((n, n), 7.0))
        assert length == 0
        assert tour.tolist() == list(range(n))
    apart = np.full((3, 3), np.inf)
    apart[0, 1] = apart[1, 0] = 1
    length, tour = attlas_ref.held_karp(apart)
    assert length == np.inf
    assert tour.tolist() == [0, -1, -1]


def test_the_diagonal_is_not_read() -> None:
    distance = distances(RNG.random((6, 2)))
    tour = attlas_ref.held_karp(distance).tour
    np.fill_diagonal(distance, np.nan)
    assert attlas_ref.held_karp(distance).tour.tolist() == tour.tolist()


def test_a_tour_of_thirteen_cities_on_a_circle_goes_around() -> None:
    order = RNG.permutation(13)
    angle = 2 * np.pi * order / 13
    tour = attlas_ref.held_karp(distances(np.stack([np.cos(angle), np.sin(angle)], axis=-1))).tour
    steps = np.diff(order[tour], append=order[tour[0]]) % 13
    assert set(steps.tolist()) in ({1}, {12})


@pytest.mark.parametrize(
    ("distance", "error", "named"),
    [
        (np.zeros((21, 21)), ValueError, "21 rows"),
        (np.zeros((3, 4)), ValueError, "square"),
        (np.array([[0, np.nan], [1, 0]]), ValueError, "NaN"),
        (np.zeros((2, 2), dtype=complex), TypeError, "complex"),
    ],
)
def test_what_is_no_distance_is_refused(distance: np.ndarray, error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=f"held_karp: distance .*{named}"):
        attlas_ref.held_karp(distance)


def chain_log_prob(scores: np.ndarray, order: tuple[int, ...]) -> float:
    """Step by step: what is chosen against what is left."""
    total = 0.0
    for t in range(1, len(order)):
        left = [j for j in range(len(scores)) if j not in order[:t]]
        row = scores[order[t - 1]]
        total += row[order[t]] - np.log(np.exp(row[left]).sum())
    return total


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize(("n", "length", "start"), [(5, 5, 0), (6, 4, 3), (4, 1, 2), (5, 2, 4)])
def test_exact_is_the_best_of_all_orders(n: int, length: int, start: int, closed: bool) -> None:
    for _ in range(4):
        scores = RNG.normal(size=(n, n))
        every = [order for order in permutations(range(n), length) if order[0] == start]
        sums = [sum(scores[o[t - 1], o[t]] for t in range(0 if closed else 1, length)) for o in every]
        found = attlas_ref.pointer_decode(scores, start=start, length=length, method="exact", closed=closed)
        assert found.sequence.tolist() == list(every[int(np.argmax(sums))])
        assert_equal_up_to_rounding(found.log_prob, chain_log_prob(scores, tuple(found.sequence.tolist())), **SMALL)


def test_a_beam_of_all_orders_is_the_most_probable_one() -> None:
    for _ in range(4):
        scores = RNG.normal(size=(5, 5))
        every = [order for order in permutations(range(5)) if order[0] == 2]
        log_probs = [chain_log_prob(scores, order) for order in every]
        found = attlas_ref.pointer_decode(scores, start=2, method="beam", beam_width=24)
        assert found.sequence.tolist() == list(every[int(np.argmax(log_probs))])
        assert_equal_up_to_rounding(found.log_prob, max(log_probs), **SMALL)


def test_greedy_steps_take_the_best_that_is_left() -> None:
    scores = RNG.normal(size=(3, 7, 7))
    found = attlas_ref.pointer_decode(scores, start=1)
    for table, order in zip(scores, found.sequence.tolist(), strict=True):
        for t in range(1, 7):
            left = [j for j in range(7) if j not in order[:t]]
            assert order[t] == max(left, key=lambda j: table[order[t - 1], j])


def test_sampled_chains_occur_as_often_as_they_are_likely() -> None:
    scores, count = RNG.normal(size=(4, 4)), 6000
    found = attlas_ref.pointer_decode(scores, method="sample", uniform=RNG.random((count, 4)))
    for order in permutations(range(1, 4)):
        p = np.exp(chain_log_prob(scores, (0, *order)))
        share = (found.sequence[:, 1:] == np.array(order)).all(axis=-1).mean()
        assert abs(share - p) < 5 * np.sqrt(p * (1 - p) / count)  # five standard deviations


@pytest.mark.parametrize("method", ["greedy", "beam", "sample", "exact"])
def test_forbidden_steps_break_the_chain(method: str) -> None:
    scores = np.zeros((3, 3))
    scores[1, 2] = scores[0, 2] = -np.inf  # nothing leads to 2
    uniform = np.full(3, 0.5) if method == "sample" else None
    found = attlas_ref.pointer_decode(scores, method=method, uniform=uniform, beam_width=2)
    assert found.sequence.tolist() in ([0, 1, -1], [0, -1, -1])
    assert found.log_prob == -np.inf
    scores[0, 1] = np.nan
    found = attlas_ref.pointer_decode(scores, method=method, uniform=uniform, beam_width=2)
    assert found.sequence.tolist() == [0, -1, -1]
    assert np.isnan(found.log_prob)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"start": 17}, "start is 17"),
        ({"length": 18}, "length is 18"),
        ({"method": "exact"}, "n = 17"),
        ({"method": "sample"}, "uniform is None"),
    ],
)
def test_chains_that_make_no_sense_are_refused(more: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"pointer_decode: .*{named}"):
        attlas_ref.pointer_decode(np.zeros((17, 17)), **more)


def test_the_length_is_the_sum_of_the_sides() -> None:
    points, tour = RNG.normal(size=(6, 2)), np.array([4, 1, 1, 5, 0])
    sides = [float(np.linalg.norm(points[a] - points[b])) for a, b in zip(tour, np.roll(tour, -1), strict=True)]
    assert_equal_up_to_rounding(attlas_ref.tour_length(points, tour), sum(sides), **SMALL)
    assert_equal_up_to_rounding(attlas_ref.tour_length(points, tour, closed=False), sum(sides[:-1]), **SMALL)
    assert attlas_ref.tour_length(points, tour[:0]) == 0
    assert attlas_ref.tour_length(points, tour[:1]) == 0
    with pytest.raises(ValueError, match="tour leaves the positions"):
        attlas_ref.tour_length(points, np.array([0, 6]))


def test_a_point_that_is_not_visited_is_not_felt() -> None:
    points = RNG.normal(size=(4, 2))
    length = attlas_ref.tour_length(points, np.array([0, 1, 3]))
    points[2] = np.nan
    assert attlas_ref.tour_length(points, np.array([0, 1, 3])) == length
