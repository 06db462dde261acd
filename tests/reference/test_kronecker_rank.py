"""The nearest neighbor, and how well heads of low rank fit it.

| in the specification | here |
| --- | --- |
| brute force, ties, bias | `test_the_nearest_point_is_that_of_brute_force`, `test_of_equally_near_points_the_first` |
| one full-rank head solves it within its bound | `test_one_head_of_full_rank_errs_by_its_bound` |
| non-increasing in H | `test_a_further_head_cannot_hurt` |
| r = d, large scale: tends to 0 | `test_full_rank_tends_to_a_perfect_fit` |
| H d >= B interpolates | `test_as_many_columns_as_problems_pass_through_all_of_them` |
| numpy.linalg.lstsq | `test_the_residual_is_orthogonal_to_the_heads` |
| bad input | `test_a_mistake_is_refused` |
"""

import itertools
from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(83)


def on_the_sphere(*shape: int) -> np.ndarray:
    x = RNG.normal(size=shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_the_nearest_point_is_that_of_brute_force() -> None:
    points, query, bias = on_the_sphere(2, 3, 7, 4), on_the_sphere(3, 4), RNG.normal(size=(7,))
    plain, handicapped = attlas_ref.nearest_neighbor_task(points, query), attlas_ref.nearest_neighbor_task(
        points, query, bias=bias
    )  # fmt: skip
    for place in np.ndindex(2, 3):
        near = min(points[place], key=lambda x, y=query[place[1]]: float(((x - y) ** 2).sum()))
        np.testing.assert_array_equal(plain[place], near)
        scores = [float(x @ query[place[1]]) + float(b) for x, b in zip(points[place], bias, strict=True)]
        np.testing.assert_array_equal(handicapped[place], points[place][scores.index(max(scores))])


def test_of_equally_near_points_the_first() -> None:
    points = [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    np.testing.assert_array_equal(attlas_ref.nearest_neighbor_task(points, [-1.0, 0.0, 0.0]), points[0])


@pytest.mark.parametrize("beta", [1.0, 10.0, 100.0])
def test_one_head_of_full_rank_errs_by_its_bound(beta: float) -> None:
    points, query = on_the_sphere(200, 6, 4), on_the_sphere(200, 4)
    output = attlas_ref.softmax_attention(query[:, None], points, points, scale=beta)[:, 0]
    error = np.linalg.norm(output - attlas_ref.nearest_neighbor_task(points, query), axis=-1)
    best = np.sort((points @ query[..., None])[..., 0], axis=-1)
    bound = 2 * 5 * np.exp(-beta * (best[:, -1] - best[:, -2]))
    # Scores of width 4 err by 8 roundings, times beta in the weights; points have norm 1.
    assert (error <= bound + 16 * (beta + 6) * np.finfo(float).eps).all()


def heads(count: int, d: int, r: int) -> tuple[np.ndarray, np.ndarray]:
    return RNG.normal(size=(count, d, r)), RNG.normal(size=(count, d, r))


def test_a_further_head_cannot_hurt() -> None:
    points, query, (w_query, w_key) = on_the_sphere(300, 5, 4), on_the_sphere(300, 4), heads(6, 4, 2)
    errors = [attlas_ref.low_rank_heads_error(points, query, w_query[:h], w_key[:h], scale=5.0) for h in range(7)]
    assert_equal_up_to_rounding(errors[0], 1.0, operations=300)  # no head: the targets themselves, of norm 1
    rounding = 300 * np.finfo(float).eps
    assert all(after <= before + rounding for before, after in itertools.pairwise(errors))
    assert errors[6] < errors[1]


def test_full_rank_tends_to_a_perfect_fit() -> None:
    points, query, full = on_the_sphere(300, 5, 4), on_the_sphere(300, 4), np.eye(4)[None]
    best = np.sort((points @ query[..., None])[..., 0], axis=-1)
    errors = []
    for scale in (1e1, 1e2, 1e3, 1e4):
        error = attlas_ref.low_rank_heads_error(points, query, full, full, scale=scale)
        # The output matrix 1 errs by the bound of one head of full rank, and the best one by no more.
        bound = (2 * 4 * np.exp(-scale * (best[:, -1] - best[:, -2]))).clip(max=2) ** 2
        assert error <= bound.mean() + 300 * np.finfo(float).eps
        errors.append(error)
    assert errors == sorted(errors, reverse=True)


def test_as_many_columns_as_problems_pass_through_all_of_them() -> None:
    points, query = on_the_sphere(12, 5, 4), on_the_sphere(12, 4)
    few, enough = heads(2, 4, 2), heads(3, 4, 2)
    # The square of an error is far below a rounding of the targets where it is nothing but rounding.
    assert attlas_ref.low_rank_heads_error(points, query, *enough) < np.finfo(float).eps
    assert attlas_ref.low_rank_heads_error(points, query, *few) > np.sqrt(np.finfo(float).eps)


def test_the_residual_is_orthogonal_to_the_heads() -> None:
    points, query, (w_query, w_key) = on_the_sphere(60, 5, 3), on_the_sphere(60, 3), heads(2, 3, 1)
    outputs = []
    for h in range(2):
        scores = 3.0 * np.einsum("bd,dr,er,bne->bn", query, w_query[h], w_key[h], points)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        outputs.append(np.einsum("bn,bnd->bd", weights / weights.sum(axis=-1, keepdims=True), points))
    design, target = np.concatenate(outputs, axis=-1), attlas_ref.nearest_neighbor_task(points, query)
    residual = target - design @ np.linalg.solve(design.T @ design, design.T @ target)  # the normal equations
    actual = attlas_ref.low_rank_heads_error(points, query, w_query, w_key, scale=3.0)
    condition = float(np.linalg.cond(design.T @ design))
    assert_equal_up_to_rounding(actual, (residual**2).sum() / 60, operations=200, magnitude=condition)


SPHERE, SMALL = np.eye(3)[None], np.ones((1, 3, 2))
MISTAKES: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("nearest_neighbor_task", (np.ones((0, 3)), np.ones(3)), {}, "points"),
    ("nearest_neighbor_task", (np.eye(3), np.ones(2)), {}, "query"),
    ("nearest_neighbor_task", (np.eye(3), np.ones(3)), {"bias": np.ones(2)}, "bias"),
    ("low_rank_heads_error", (SPHERE, np.ones((2, 3)), SMALL, SMALL), {}, "query"),
    ("low_rank_heads_error", (SPHERE, np.ones((1, 3)), SMALL, np.ones((1, 3, 1))), {}, "w_key"),
    ("low_rank_heads_error", (SPHERE, np.ones((1, 3)), np.ones((1, 2, 2)), SMALL), {}, "w_query"),
    ("low_rank_heads_error", (np.ones((0, 3, 3)), np.ones((0, 3)), SMALL, SMALL), {}, "points"),
]


@pytest.mark.parametrize(("name", "arrays", "options", "argument"), MISTAKES)
def test_a_mistake_is_refused(name: str, arrays: tuple[Any, ...], options: dict[str, Any], argument: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: .*{argument}"):
        getattr(attlas_ref, name)(*arrays, **options)
