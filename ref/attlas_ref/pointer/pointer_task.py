r"""Tasks for pointer networks: random inputs with true answers.

The inputs are points, drawn evenly from the unit square, or numbers between 0 and 1. The answers are positions: the
corners of the hull, the triangles of the Delaunay triangulation, the cities of the shortest tour, the order from small
to large. All are exact, so that what a network lacks is its own fault; the paper itself had to train on approximate
tours where the exact ones took too long.
"""

from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from ..contract import LabeledPoints
from ..contract.options import Choice, Integer
from .held_karp import MOST, held_karp
from .planar_labels import convex_hull_labels, delaunay_labels

FEWEST = {"hull": 3, "delaunay": 3, "tsp": 1, "sort": 1}


def pointer_task(n: int, rng: np.random.Generator, *, task: str = "hull") -> LabeledPoints:
    r"""Draw one input of a task and its answer.

    $$x_i \sim U[0, 1]^2, \qquad \mathrm{labels} = \mathrm{answer}(x_1, \dots, x_n)$$

    Parameters
    ----------
    n : int
        How many points: at least 3 for "hull" and "delaunay", at most 20 for "tsp".
    rng : numpy.random.Generator
        Draws the points.
    task : {"hull", "delaunay", "tsp", "sort"}, default "hull"
        What is asked: `convex_hull_labels`, `delaunay_labels` in the order of the incenters, the tour of `held_karp`,
        or the positions of n numbers from small to large.

    Returns
    -------
    points : (n, 2) array, or (n,) array for "sort"
        In [0, 1).
    labels : (h,), (t, 3), (n,) or (n,) integer array
        The answer.

    Raises
    ------
    ValueError
        If `task` is unknown, or n too small or too large for it.
    TypeError
        If n is no whole number or `rng` no generator.

    Notes
    -----
    Cost: that of the answer: n log n, for "tsp" n² 2ⁿ.

    References
    ----------
    Vinyals, Fortunato & Jaitly, "Pointer Networks", 2015, arXiv 1506.03134, section 4.2; sorting from Vinyals, Bengio
    & Kudlur, "Order Matters: Sequence to Sequence for Sets", 2015, arXiv 1511.06391.

    Examples
    --------
    >>> numbers, order = pointer_task(5, np.random.default_rng(0), task="sort")
    >>> numbers.round(2), order
    (array([0.64, 0.27, 0.04, 0.02, 0.81]), array([3, 2, 1, 0, 4]))
    """
    function = "pointer_task"
    word: Any = Choice(values=tuple(FEWEST)).check(function, "task", task)
    n = Integer(low=FEWEST[word]).check(function, "n", n)
    if word == "tsp" and n > MOST:
        raise ValueError(f"{function}: n is {n}; it needs a whole number of at most {MOST} with task 'tsp'")
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"{function}: rng is {type(rng).__name__}; it needs a numpy.random.Generator")

    if word == "sort":
        numbers = rng.random(n)
        return LabeledPoints(numbers, np.argsort(numbers, kind="stable"))
    points = rng.random((n, 2))
    if word == "tsp":
        return LabeledPoints(points, held_karp(cdist(points, points)).tour)
    labels = convex_hull_labels(points) if word == "hull" else delaunay_labels(points, order="incenter")
    return LabeledPoints(points, labels)
