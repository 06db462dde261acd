"""Parses from distances and heights: the sums of their definition, one by one."""

from itertools import product

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

import attlas_ref
from attlas_ref.probabilistic.syntactic_dependency import ends_of_constituents

RNG = np.random.default_rng(71)


def sigmoid(x: float) -> float:
    return 1 / (1 + np.exp(-x))


def parsed(tau: np.ndarray, delta: np.ndarray, first: float, second: float, combine: str) -> np.ndarray:
    """The sums of the definition, one by one; the diagonal is not cleared."""
    n = len(delta)
    merge = (lambda xs: min(xs, default=1.0)) if combine == "minimum" else (lambda xs: float(np.prod(list(xs))))
    parents = np.zeros((n, n))
    for i in range(n):
        passed = [sigmoid((delta[i] - tau[k]) / first) for k in range(n - 1)]
        left = {start: merge([passed[k] for k in range(start, i)]) for start in range(i + 1)} | {-1: 0.0}
        right = {end: merge([passed[k] for k in range(i, end)]) for end in range(i, n)} | {n: 0.0}
        for start, end in product(range(i + 1), range(i, n)):
            chance = (left[start] - left[start - 1]) * (right[end] - right[end + 1])
            weights = np.exp(delta[start : end + 1] / second)
            parents[i, start : end + 1] += chance * weights / weights.sum()
    return parents


@pytest.mark.parametrize("combine", ["minimum", "product"])
@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_dependencies_are_the_sums_of_their_definition(n: int, combine: str) -> None:
    tau, delta = RNG.normal(size=n - 1), RNG.normal(size=n)
    expected = parsed(tau, delta, 0.7, 1.3, combine)
    assert_equal_up_to_rounding(expected.sum(axis=-1), np.ones(n), operations=100)
    np.fill_diagonal(expected, 0)
    found = attlas_ref.syntactic_dependency(
        tau, delta, distance_temperature=0.7, height_temperature=1.3, combine=combine
    )
    assert_equal_up_to_rounding(found, expected, operations=100)


@pytest.mark.parametrize("combine", ["minimum", "product"])
def test_ends_of_constituents_are_distributions(combine: str) -> None:
    tau, delta = RNG.normal(size=(3, 6)), RNG.normal(size=(3, 7))
    starts, ends = ends_of_constituents(tau, delta, 0.5, combine)
    for part, lower in ((starts, True), (ends, False)):
        assert (part >= 0).all()
        assert_equal_up_to_rounding(part.sum(axis=-1), np.ones((3, 7)), operations=20)
        np.testing.assert_array_equal(part, np.tril(part) if lower else np.triu(part))


def test_independent_walls_reach_less_far() -> None:
    tau, delta = RNG.normal(size=6), RNG.normal(size=7)
    for which in (0, 1):
        minimum, both = (ends_of_constituents(tau, delta, 1.0, combine)[which] for combine in ("minimum", "product"))
        reach = [np.cumsum(x if which == 0 else x[:, ::-1], axis=-1) for x in (minimum, both)]
        assert (reach[1] <= reach[0] + 20 * np.finfo(float).eps).all()


def test_heights_of_ten_thousand() -> None:
    tau, delta = 1e4 * RNG.normal(size=9), 1e4 * RNG.normal(size=10)
    found = attlas_ref.syntactic_dependency(tau, delta)
    assert np.isfinite(found).all()
    assert (found.sum(axis=-1) <= 1 + 100 * np.finfo(float).eps).all()
