r"""Held–Karp: the shortest tour through all cities, exactly.

A tour visits every city once and comes home. There are (n − 1)!/2 of them, but what matters of a beginning is only
*which* cities it has visited and where it stands. So carry, for every set S of cities other than 0 and every k in it,
the length of the shortest path from 0 through S that ends in k:

$$C[\{k\}, k] = D_{0k}, \qquad C[S, k] = \min_{l \in S \setminus k} C[S \setminus k, l] + D_{lk}, \qquad
  L = \min_k C[\mathrm{all}, k] + D_{k0}.$$

There are $2^{n-1}$ sets. In the table a set is a whole number whose bits are its members, and sets of one size depend
on those of the size below alone, so that each size is one step.

These tours are the labels of a task: a pointer network is shown the cities and has to say the tour (`pointer_task`).
A label has to be one of many that are equally right, so the ties are settled: the tour starts at city 0; of its two
directions, equally long where distances are symmetric, it goes in the one whose second city has the smaller number; and
of equally short paths the one with the smallest predecessor is taken.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract import ExactTour
from ..contract.utilities import check_reals

MOST = 20
"""Cities: of so many the table takes 90 MB."""


def held_karp(distance: Any) -> ExactTour:
    r"""Find the shortest tour through n cities.

    $$\min_\pi \sum_{t=0}^{n-1} D_{\pi_t \pi_{t+1}}, \qquad \pi_0 = \pi_n = 0$$

    Parameters
    ----------
    distance : (n, n) real array
        D: from a city (row) to another (column), which need not be the same both ways; inf where there is no road. The
        diagonal is not read. At most 20 cities.

    Returns
    -------
    length : float64 scalar
        Of the tour, L; inf if there is none, 0 for fewer than two cities.
    tour : (n,) integer array
        Every city once, from 0; -1 after it if there is no tour.

    Raises
    ------
    ValueError
        If `distance` is not square, has more than 20 rows or holds a NaN or -inf.
    TypeError
        If it does not hold real numbers.

    Notes
    -----
    Cost: n² 2ⁿ⁻¹ additions and comparisons, n 2ⁿ⁻¹ numbers: 15 cities take a fraction of a second.

    `tour_length` measures any tour of points, `pointer_decode` with ``method="exact"`` is the same program on scores.

    References
    ----------
    Held & Karp, "A Dynamic Programming Approach to Sequencing Problems", 1962. As labels: Vinyals, Fortunato & Jaitly,
    "Pointer Networks", 2015, arXiv 1506.03134, section 4.2.

    Examples
    --------
    Four corners of a square, numbered crosswise, and a detour around a blocked side:

    >>> import numpy as np
    >>> corners = np.array([[0, 0], [1, 1], [1, 0], [0, 1]])
    >>> distance = np.linalg.norm(corners[:, None] - corners, axis=-1)
    >>> held_karp(distance).tour.tolist(), float(held_karp(distance).length)
    ([0, 2, 1, 3], 4.0)
    >>> distance[0, 2] = distance[2, 0] = np.inf
    >>> held_karp(distance).tour.tolist()
    [0, 1, 2, 3]
    """
    function = "held_karp"
    distance = np.array(check_reals(function, "distance", distance, "(n, n)", 2, exact=True))
    n = len(distance)
    if distance.shape[1] != n:
        raise ValueError(f"{function}: distance has shape {distance.shape}; it needs to be square")
    if n > MOST:
        raise ValueError(f"{function}: distance has {n} rows; it needs at most {MOST}")
    np.fill_diagonal(distance, 0)
    if not (distance > -np.inf).all():
        raise ValueError(f"{function}: distance holds a NaN or -inf; it needs numbers, or inf where there is no road")

    if n < 2:
        return ExactTour(np.float64(0), np.arange(n))

    tour = shortest_path(distance, distance[:, 0], n)
    if n > 2 and tour[-1] < tour[1] and np.array_equal(distance, distance.T):
        tour = np.concatenate([tour[:1], tour[:0:-1]])
    length = distance[tour, np.roll(tour, -1)].sum() if (tour >= 0).all() else np.inf
    return ExactTour(np.float64(length), tour)


def shortest_path(distance: NDArray[np.float64], closing: NDArray[np.float64], length: int) -> NDArray[np.int64]:
    """Return the path of so many cities from city 0 that is the shortest with `closing` of its last one.

    -1 after the start if there is none of finite length.
    """
    path = np.full(length, -1)
    path[:1] = 0
    others = len(distance) - 1
    if length < 2:
        return path
    bits = 1 << np.arange(others)  # of the cities 1, 2, ...
    sets = np.arange(1 << others)
    size = (sets[:, None] & bits > 0).sum(axis=-1)
    shortest = np.full((len(sets), others), np.inf)  # C: of the path through a set that ends in a city
    before = np.zeros((len(sets), others), dtype=np.int8)  # the city it came from
    shortest[bits, np.arange(others)] = distance[0, 1:]
    for members in range(2, length):
        for k in range(others):
            ends_in_k = sets[(size == members) & (sets & bits[k] > 0)]
            arrivals = shortest[ends_in_k ^ bits[k]] + distance[1:, k + 1]  # (sets, l): inf where l is no member
            before[ends_in_k, k] = arrivals.argmin(axis=-1)
            shortest[ends_in_k, k] = arrivals.min(axis=-1)

    whole = sets[size == length - 1]
    total = shortest[whole] + closing[1:]
    chosen, k = divmod(int(total.argmin()), others)
    if total[chosen, k] == np.inf:
        return path
    members = int(whole[chosen])
    for t in range(length - 1, 0, -1):
        path[t] = k + 1
        members, k = members ^ int(bits[k]), int(before[members, k])
    return path
