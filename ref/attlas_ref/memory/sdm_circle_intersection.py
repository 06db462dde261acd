r"""How many addresses lie near both of two: the overlap of two Hamming balls.

In Kanerva's sparse distributed memory an address is a string of b bits, and whatever is written or read at an address
reaches all neurons within a Hamming radius. So a query feels a stored pattern through the neurons that both of them
reach, and how strongly depends on the distance v of the two alone:

$$I(v) = \bigl| O(x) \cap O(y) \bigr|, \qquad O(x) = \{z \in \{0,1\}^b : \mathrm{Ham}(x, z) \le r\}, \quad
  \mathrm{Ham}(x, y) = v .$$

**By counting.** An address that differs from x in i of the v bits where x and y disagree, and in j of the other b - v,
is i + j from x and (v - i) + j from y, so

$$I(v) = \sum_{i=0}^{v} \sum_{j=0}^{b-v} \binom{v}{i} \binom{b-v}{j} \, [i + j \le r]\,[v - i + j \le r] .$$

**Step by step.** Move y one bit further away from x, at a bit c where they agreed. Addresses on the rim of the ball of
y (at distance r) with $z_c = x_c$ drop out; addresses just outside of it (r + 1) with $z_c \ne x_c$ come in. Flipping
bit c pairs the two kinds and changes the distance from x by one, so that all cancel but those that are exactly r from x
as well. Being equally far from both takes an even number 2k = v - 1 of disagreeing bits, k of them changed:

$$I(v) = I(v - 1) - [v \text{ odd}] \binom{v-1}{(v-1)/2} \binom{b - v}{r - (v-1)/2}, \qquad
  I(0) = \sum_{i \le r} \binom{b}{i} .$$

This is Kanerva's formula for the lune, the part of one ball outside of the other. In floating point its differences
cancel; here they are whole numbers of any size, and only the result is rounded.

The logarithm of $I(v)$ is nearly a straight line in v: this is why attention, whose weights are exponentials of the
cosine $1 - 2v/b$, approximates the memory (`sdm_attention`, `sdm_beta`).
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract.binding import check_array_like
from ..contract.options import Flag, Integer


def sdm_circle_intersection(
    distance: Any, *, dim: int, radius: int, neurons: int | None = None, log: bool = False
) -> NDArray[np.float64]:
    r"""Count the addresses within a Hamming radius of both of two centers.

    $$I(v) = \sum_{i=0}^{v} \sum_{j=0}^{b-v} \binom{v}{i} \binom{b-v}{j} \, [i + j \le r]\,[v - i + j \le r]$$

    Parameters
    ----------
    distance : integer array
        v, the Hamming distance of the centers, from 0 to `dim`.
    dim : int
        b, the number of bits of an address, at least 0.
    radius : int
        r, at least 0.
    neurons : int, optional
        Expect so many neurons at random addresses in place of one at each of the $2^b$: the count is multiplied by
        $\mathrm{neurons} / 2^b$.
    log : bool, default False
        Return the logarithm; minus infinity where the count is 0.

    Returns
    -------
    float64 array of the shape of `distance`
        Counts, correctly rounded; infinity where a count exceeds float64 (`dim` above 1023), so take `log` there.

    Raises
    ------
    ValueError
        If a distance lies outside 0 .. dim, or `dim`, `radius` or `neurons` is too small.
    TypeError
        If a distance, `dim`, `radius` or `neurons` is not whole.

    Notes
    -----
    Cost: O(dim) products of whole numbers for a table over all distances, made once per `dim` and `radius`.

    `sdm_cap_intersection` is the same on a sphere. Distances 2k - 1 and 2k have the same count.

    References
    ----------
    Bricken & Pehlevan, "Attention Approximates Sparse Distributed Memory", 2021, arXiv 2111.05498.
    Kanerva, "Sparse Distributed Memory", 1988, appendix B.

    Examples
    --------
    Four bits, radius 1: a ball holds its center and four neighbors. Two centers at distance 1 share each other, at
    distance 2 the two addresses between them:

    >>> import numpy as np
    >>> sdm_circle_intersection(np.arange(5), dim=4, radius=1)
    array([5., 2., 2., 0., 0.])

    Away from 0 the logarithm falls by nearly the same amount from one even distance to the next:

    >>> sdm_circle_intersection(np.arange(4, 28, 4), dim=64, radius=19, log=True).round(1)
    array([36.3, 35.6, 34.9, 34.1, 33.2, 32.1])
    """
    function = "sdm_circle_intersection"
    dim = Integer(low=0).check(function, "dim", dim)
    radius = Integer(low=0).check(function, "radius", radius)
    neurons = Integer(low=1, optional=True).check(function, "neurons", neurons)
    log = Flag().check(function, "log", log)
    places = np.asarray(check_array_like(function, "distance", distance))
    if places.dtype.kind not in "iu":
        raise TypeError(f"{function}: distance has dtype {places.dtype}; it needs whole numbers")
    if places.size and (places.min() < 0 or places.max() > dim):
        came = f"runs from {places.min()} to {places.max()}"
        raise ValueError(f"{function}: distance {came}; it needs numbers from 0 to dim = {dim}")
    return np.asarray(_table(dim, radius, neurons, log)[places])


def intersection_counts(dim: int, radius: int) -> list[int]:
    """Return I(0) .. I(dim) as whole numbers.

    >>> intersection_counts(4, 1)
    [5, 2, 2, 0, 0]
    """
    counts = [sum(math.comb(dim, i) for i in range(min(radius, dim) + 1))]
    for v in range(1, dim + 1):
        k = (v - 1) // 2
        on_both_rims = math.comb(2 * k, k) * math.comb(dim - v, radius - k) if v % 2 and k <= radius else 0
        counts.append(counts[-1] - on_both_rims)
    return counts


@lru_cache(maxsize=32)
def _table(dim: int, radius: int, neurons: int | None, log: bool) -> NDArray[np.float64]:
    """Return the counts of all distances, or their logarithms; read-only."""
    counts, share = intersection_counts(dim, radius), 1 if neurons is None else neurons
    scale = 0 if neurons is None else dim  # divide by 2**scale
    if log:
        values = [math.log(count * share) - scale * math.log(2) if count else -math.inf for count in counts]
    else:
        values = [_rounded(count * share, 1 << scale) for count in counts]
    table = np.array(values, dtype=np.float64)
    table.flags.writeable = False
    return table


def _rounded(numerator: int, denominator: int) -> float:
    """Return the nearest float64 of a fraction of whole numbers."""
    try:
        return numerator / denominator
    except OverflowError:
        return math.inf
