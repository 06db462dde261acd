r"""How far a sparse distributed memory should reach.

How many addresses lie within a Hamming radius of an address? The distance from a random address is a sum of b coin
tosses, so the share of the $2^b$ addresses within r is the binomial distribution function

$$P(r) = 2^{-b} \sum_{i \le r} \binom{b}{i} .$$

`sdm_radius` inverts it: the smallest radius that reaches a given share. The sums are whole numbers of any size, so the
answer is exact, also where a share is met to the bit.

How large a share is best? A query reads its own pattern through the neurons that both reach, and the other patterns
through those that happen to be shared: the more neurons are reached, the more signal and the more noise. With
`patterns` stored in `neurons`, the signal-to-noise ratio of recall without noise in the query is best near the share
$(2 \cdot \mathrm{patterns} \cdot \mathrm{neurons})^{-1/3}$; `sdm_optimal_radius` reaches that.
"""

import bisect
import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract.binding import check_array_like
from ..contract.options import Integer


def sdm_radius(fraction: Any, *, dim: int) -> int | NDArray[np.int64]:
    r"""Find the smallest Hamming radius that reaches a fraction of all addresses.

    $$r = \min \Bigl\{ r : 2^{-\mathrm{dim}} \sum_{i \le r} \binom{\mathrm{dim}}{i} \ge \mathrm{fraction} \Bigr\}$$

    Parameters
    ----------
    fraction : float or array of floats
        Above 0 and below 1.
    dim : int
        b, the number of bits of an address, at least 1.

    Returns
    -------
    int, or integer array of the shape of `fraction`
        Between 0 and `dim`.

    Raises
    ------
    ValueError
        If a fraction is not between 0 and 1, or `dim` is below 1.
    TypeError
        If `fraction` is not real or `dim` not whole.

    Notes
    -----
    Cost: O(dim) additions of whole numbers. Equals `scipy.stats.binom.ppf(fraction, dim, 1/2)`.

    References
    ----------
    Kanerva, "Sparse Distributed Memory", 1988.
    Bricken & Pehlevan, "Attention Approximates Sparse Distributed Memory", 2021, arXiv 2111.05498, official code.

    Examples
    --------
    Distances in high dimensions crowd around half of the bits: to reach one address in a thousand takes 451 of 1000.

    >>> sdm_radius(0.001, dim=1000)
    451
    >>> import numpy as np
    >>> sdm_radius(np.array([1e-6, 1e-3, 0.5, 0.999]), dim=1000)
    array([425, 451, 500, 549])
    """
    function = "sdm_radius"
    dim = Integer(low=1).check(function, "dim", dim)
    fractions = np.asarray(check_array_like(function, "fraction", fraction))
    if fractions.dtype.kind not in "fiu":
        raise TypeError(f"{function}: fraction has dtype {fractions.dtype}; it needs real numbers")
    if not bool(((fractions > 0) & (fractions < 1)).all()):
        raise ValueError(f"{function}: fraction leaves the range; it needs numbers above 0 and below 1")
    reached = list(itertools.accumulate(math.comb(dim, i) for i in range(dim + 1)))
    radii = [bisect.bisect_left(reached, Fraction(float(share)) * 2**dim) for share in fractions.ravel()]
    return radii[0] if fractions.ndim == 0 else np.array(radii, dtype=np.int64).reshape(fractions.shape)


def sdm_optimal_radius(*, dim: int, patterns: int, neurons: int) -> int:
    r"""Find the radius with the best signal-to-noise ratio.

    $$r = \mathrm{sdm\_radius}\bigl((2 \cdot \mathrm{patterns} \cdot \mathrm{neurons})^{-1/3}\bigr)$$

    Parameters
    ----------
    dim : int
        b, the number of bits of an address, at least 1.
    patterns : int
        How many patterns are stored, at least 1.
    neurons : int
        How many neurons there are, at least 1.

    Returns
    -------
    int
        Between 0 and `dim`.

    Raises
    ------
    ValueError, TypeError
        If a number is below 1 or not whole.

    Notes
    -----
    Cost: that of `sdm_radius`. It is best for queries without noise; noisy ones are helped by a larger radius.

    References
    ----------
    Kanerva, "Sparse Distributed Memory", 1988.
    Bricken & Pehlevan, "Attention Approximates Sparse Distributed Memory", 2021, arXiv 2111.05498, official code.

    Examples
    --------
    Kanerva's memory, a million neurons of 1000 bits, and ten thousand patterns:

    >>> sdm_optimal_radius(dim=1000, patterns=10_000, neurons=1_000_000)
    447
    """
    function = "sdm_optimal_radius"
    patterns, neurons = (
        Integer(low=1).check(function, name, number) for name, number in (("patterns", patterns), ("neurons", neurons))
    )
    dim = Integer(low=1).check(function, "dim", dim)
    return int(sdm_radius((2 * patterns * neurons) ** (-1 / 3), dim=dim))
