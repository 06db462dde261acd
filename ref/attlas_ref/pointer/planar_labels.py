r"""Labels of planar tasks: the convex hull and the Delaunay triangulation, as positions.

Pointer networks were made for problems whose answers are positions of their inputs. Two come from geometry. The *convex
hull* of points in the plane is the smallest convex polygon around them; the answer is the sequence of its corners. The
*Delaunay triangulation* cuts the hull into triangles such that no point lies inside of the circle through the corners
of a triangle, which makes the triangles as little pointed as can be; the answer is a set of triples.

A network that is trained to say one answer needs one answer. So the order is fixed: the hull runs counter-clockwise
from its corner with the smallest number, the corners of a triangle stand in increasing order, and triangles are sorted
by their numbers, or, as in the paper, by their incenters, the centers of their inscribed circles, from left to right:

$$\mathrm{incenter} = \frac{a A + b B + c C}{a + b + c}, \qquad a = \lVert B - C \rVert, \dots$$

Both come from SciPy, which calls Qhull. **What to watch for**: a point on an edge of the hull is no corner. Of points
that coincide the first one counts. Where four points lie on one circle, as on a grid, the triangulation is not unique.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, Delaunay, QhullError

from ..contract.options import Choice
from ..contract.utilities import check_reals

Indices = NDArray[np.int64]


def convex_hull_labels(points: Any) -> Indices:
    r"""Corners of the convex hull, counter-clockwise from the one with the smallest number.

    $$\mathrm{conv}(x) = \mathrm{conv}(x_{l_1}, \dots, x_{l_h}), \qquad l_1 = \min_t l_t$$

    Parameters
    ----------
    points : (n, 2) real array
        x; at least three that do not lie on one line.

    Returns
    -------
    (h,) integer array
        Positions.

    Raises
    ------
    ValueError
        If `points` has another shape, holds a NaN or an infinity, has fewer than three rows or lies on a line.
    TypeError
        If it does not hold real numbers.

    Notes
    -----
    Cost: n log n.

    References
    ----------
    Vinyals, Fortunato & Jaitly, "Pointer Networks", 2015, arXiv 1506.03134, section 4.2.

    Examples
    --------
    A square and a point in it:

    >>> convex_hull_labels([[0.5, 0.5], [1, 1], [0, 0], [1, 0], [0, 1]])
    array([1, 4, 2, 3])
    """
    points, first = _checked("convex_hull_labels", points)
    corners = first[_qhull("convex_hull_labels", ConvexHull, points[first]).vertices]  # counter-clockwise in the plane
    return np.roll(corners, -int(corners.argmin()))


def delaunay_labels(points: Any, *, order: str = "index") -> Indices:
    r"""Triangles of the Delaunay triangulation.

    $$\{i < j < k\}: \text{no point lies inside of the circle through } x_i, x_j, x_k$$

    Parameters
    ----------
    points : (n, 2) real array
        x; at least three that do not lie on one line.
    order : {"index", "incenter"}, default "index"
        Sort the triangles by their corners' numbers, or by the coordinates of their incenters.

    Returns
    -------
    (t, 3) integer array
        Positions, increasing in each triangle; 2n - 2 - h triangles where h points are on the hull and no four on one
        circle.

    Raises
    ------
    ValueError
        If `points` has another shape, holds a NaN or an infinity, has fewer than three rows or lies on a line; if
        `order` is unknown.
    TypeError
        If it does not hold real numbers.

    Notes
    -----
    Cost: n log n.

    References
    ----------
    Vinyals, Fortunato & Jaitly, "Pointer Networks", 2015, arXiv 1506.03134, section 4.2.

    Examples
    --------
    Of the two diagonals of a kite the shorter one is taken:

    >>> kite = [[0, 0], [2, 0.5], [4, 0], [2, -0.5]]
    >>> delaunay_labels(kite).tolist()
    [[0, 1, 3], [1, 2, 3]]
    """
    order = Choice(values=("index", "incenter")).check("delaunay_labels", "order", order)
    points, first = _checked("delaunay_labels", points)
    triangles = np.sort(first[_qhull("delaunay_labels", Delaunay, points[first]).simplices], axis=-1)
    triangles = triangles[np.lexsort(triangles.T[::-1])]
    if order == "incenter":
        x, y = _incenters(points[triangles]).T
        triangles = triangles[np.lexsort((y, x))]
    return triangles


def _incenters(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the centers of the inscribed circles of triangles (t, 3, 2): each corner weighs as much as its side."""
    sides = np.linalg.norm(np.roll(corners, -1, axis=1) - np.roll(corners, -2, axis=1), axis=-1, keepdims=True)
    return np.asarray((sides * corners).sum(axis=1) / sides.sum(axis=1))


def _checked(function: str, points: Any) -> tuple[NDArray[np.float64], Indices]:
    """Return the points and the numbers of those that do not repeat one before them."""
    points = check_reals(function, "points", points, "(n, 2)", 2, exact=True)
    if points.shape[1] != 2 or len(points) < 3:
        raise ValueError(f"{function}: points has shape {points.shape}; it needs (n, 2) with n of at least 3")
    if not np.isfinite(points).all():
        raise ValueError(f"{function}: points holds a NaN or an infinity; it needs finite numbers")
    _, first = np.unique(points, axis=0, return_index=True)
    return points, np.sort(first)


def _qhull(function: str, build: Any, points: NDArray[np.float64]) -> Any:
    try:
        return build(points)
    except (QhullError, ValueError):
        raise ValueError(f"{function}: points lie on one line; it needs three that do not") from None
