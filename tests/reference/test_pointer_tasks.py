"""Tasks of pointer networks: hulls and triangulations in exact arithmetic, and their answers."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist

import attlas_ref

RNG = np.random.default_rng(71)
Exact = tuple[Fraction, Fraction]


def exactly(points: np.ndarray) -> list[Exact]:
    return [(Fraction(float(x)), Fraction(float(y))) for x, y in points]


def turn(a: Exact, b: Exact, c: Exact) -> Fraction:
    """Above 0 where c lies left of the line from a to b."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def in_circle(a: Exact, b: Exact, c: Exact, d: Exact) -> Fraction:
    """Above 0 where d lies inside of the circle through a, b, c, which turn left."""
    rows = [(p[0] - d[0], p[1] - d[1], (p[0] - d[0]) ** 2 + (p[1] - d[1]) ** 2) for p in (a, b, c)]
    (a1, a2, a3), (b1, b2, b3), (c1, c2, c3) = rows
    return a1 * (b2 * c3 - b3 * c2) - a2 * (b1 * c3 - b3 * c1) + a3 * (b1 * c2 - b2 * c1)


@pytest.mark.parametrize("n", [3, 4, 7, 20])
def test_every_point_lies_left_of_every_edge_of_the_hull(n: int) -> None:
    for _ in range(5):
        points = RNG.random((n, 2))
        labels, x = attlas_ref.convex_hull_labels(points), exactly(points)
        assert labels[0] == labels.min()
        corners = [x[j] for j in labels]
        for a, b, c in zip(corners, corners[1:] + corners[:1], corners[2:] + corners[:2], strict=True):
            assert turn(a, b, c) > 0
            assert all(turn(a, b, p) >= 0 for p in x)
        assert set(labels.tolist()) == set(ConvexHull(points).vertices.tolist())


def test_hulls_move_and_grow_with_their_points() -> None:
    points = RNG.random((12, 2))
    labels = attlas_ref.convex_hull_labels(points).tolist()
    assert attlas_ref.convex_hull_labels(4 * points).tolist() == labels
    assert attlas_ref.convex_hull_labels(points + np.array([3.0, -7.0])).tolist() == labels


def test_points_on_edges_and_repeated_points_are_no_corners() -> None:
    square = [[0.0, 0], [1, 0], [1, 1], [0, 1]]
    assert attlas_ref.convex_hull_labels([*square, [0.5, 0], [1, 1]]).tolist() == [0, 1, 2, 3]
    assert attlas_ref.convex_hull_labels([[0.5, 0.0], *square]).tolist() == [1, 2, 3, 4]
    triangle = [[0.0, 0], [4, 0], [0, 4]]
    assert attlas_ref.delaunay_labels([*triangle, [0.0, 0]]).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("n", [3, 4, 8, 15])
def test_circles_of_the_triangulation_are_empty(n: int) -> None:
    for _ in range(4):
        points = RNG.random((n, 2))
        triangles, x = attlas_ref.delaunay_labels(points), exactly(points)
        assert len(triangles) == 2 * n - 2 - len(attlas_ref.convex_hull_labels(points))
        assert triangles.tolist() == sorted(triangles.tolist())
        for triple in triangles.tolist():
            assert triple == sorted(triple)
            a, b, c = (x[j] for j in triple)
            side = 1 if turn(a, b, c) > 0 else -1
            assert all(side * in_circle(a, b, c, p) <= 0 for p in x)


def test_triangles_stand_in_the_order_of_their_incenters() -> None:
    points = RNG.random((9, 2))
    plain, sorted_ = attlas_ref.delaunay_labels(points), attlas_ref.delaunay_labels(points, order="incenter")
    assert sorted(sorted_.tolist()) == plain.tolist()
    centers = []
    for triple in sorted_:
        corners = points[triple]
        a, b, c = (np.linalg.norm(corners[(k + 1) % 3] - corners[(k + 2) % 3]) for k in range(3))
        centers.append((a * corners[0] + b * corners[1] + c * corners[2]) / (a + b + c))
    assert [tuple(center) for center in centers] == sorted(tuple(center) for center in centers)


@pytest.mark.parametrize("labels", [attlas_ref.convex_hull_labels, attlas_ref.delaunay_labels])
def test_one_strange_number_and_one_axis_too_many_are_refused(labels: Any) -> None:
    points = RNG.normal(size=(5, 2))
    with pytest.raises(ValueError, match=r"points has shape \(1, 5, 2\); it needs the shape \(n, 2\)"):
        labels(points[None])
    points[3, 1] = np.nan
    with pytest.raises(ValueError, match="points holds a NaN or an infinity"):
        labels(points)


@pytest.mark.parametrize("labels", [attlas_ref.convex_hull_labels, attlas_ref.delaunay_labels])
@pytest.mark.parametrize(
    "points",
    [np.zeros((2, 2)), np.zeros((4, 3)), np.zeros(4), [[0, 0], [1, 1], [2, 2]], [[0, 0], [1, np.nan], [2, 2]]],
)
def test_points_without_a_hull_are_refused(labels: Any, points: Any) -> None:
    with pytest.raises(ValueError, match=f"{labels.__name__}: points"):
        labels(points)


def test_an_order_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="delaunay_labels: order is 'size'"):
        attlas_ref.delaunay_labels(RNG.random((4, 2)), order="size")


@pytest.mark.parametrize("task", ["hull", "delaunay", "tsp", "sort"])
def test_a_task_has_its_true_answer_and_comes_again(task: str) -> None:
    points, labels = attlas_ref.pointer_task(7, np.random.default_rng(5), task=task)
    again = attlas_ref.pointer_task(7, np.random.default_rng(5), task=task)
    np.testing.assert_array_equal(points, again.points)
    np.testing.assert_array_equal(labels, again.labels)
    assert points.shape == ((7,) if task == "sort" else (7, 2))
    assert points.min() >= 0
    assert points.max() < 1
    expected = {
        "hull": lambda: attlas_ref.convex_hull_labels(points),
        "delaunay": lambda: attlas_ref.delaunay_labels(points, order="incenter"),
        "tsp": lambda: attlas_ref.held_karp(cdist(points, points)).tour,
        "sort": lambda: sorted(range(7), key=lambda j: points[j]),
    }[task]()
    assert labels.tolist() == np.asarray(expected).tolist()


@pytest.mark.parametrize(
    ("n", "rng", "task", "error", "named"),
    [
        (2, np.random.default_rng(0), "hull", ValueError, "n is 2"),
        (21, np.random.default_rng(0), "tsp", ValueError, "n is 21"),
        (0, np.random.default_rng(0), "sort", ValueError, "n is 0"),
        (5, 0, "sort", TypeError, "rng is int"),
        (5, np.random.default_rng(0), "chess", ValueError, "task is 'chess'"),
    ],
)
def test_a_task_that_does_not_exist_is_refused(n: Any, rng: Any, task: str, error: Any, named: str) -> None:
    with pytest.raises(error, match=f"pointer_task: {named}"):
        attlas_ref.pointer_task(n, rng, task=task)
