"""Tables that kernels look up: how much two Hamming balls, or two caps of a sphere, have in common.

They are made on the host, once for each width and radius.
"""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...balls import expected_neurons, shares

LEVELS, TERMS = 54, 30
"""Of the logarithm of an area: intervals, each half as long as the one before, and terms of a Chebyshev series on each.

What the series stand for is singular only where the length is 0 and far beyond the largest, so that each term is at
least five times smaller than the one before it; what is left out is below the last digit of float64.
"""


@functools.lru_cache(maxsize=32)
def fractions_and_powers(dim: int, radius: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return I(v) as fractions, which are 0 where nothing is shared, and after these their powers of two."""
    fractions, powers = shares(dim, radius)
    return np.concatenate([fractions, powers]).astype(dtype)


@functools.lru_cache(maxsize=32)
def wholes_and_chances(dim: int, radius: int, neurons: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the whole part of I(v) neurons / 2^dim, and after these the fraction: what a uniform number stays below.

    A fraction is rounded up, so that numbers of the dtype compare with it as with the fraction itself.
    """
    expected = expected_neurons(dim, radius, neurons)
    whole = np.floor(expected)
    fraction = (expected - whole).astype(dtype)
    fraction = np.where(fraction < expected - whole, np.nextafter(fraction, dtype.type(2)), fraction)
    return np.concatenate([whole.astype(dtype), fraction.astype(dtype)])


def area_power(dim: int, cap_cosine: float) -> float:
    """Return the power of the length with which the area of two caps begins, where they hardly meet."""
    return 1.0 if cap_cosine == 0 else dim / 2


@functools.lru_cache(maxsize=32)
def log_areas(dim: int, cap_cosine: float, dtype: np.dtype[Any]) -> NDArray[Any]:
    r"""Return the coefficients, (LEVELS * TERMS,), of $\log (J / J_0) - p \log (l / \theta)$ as a function of l.

    l is the length $\theta - \varphi/2$, $J_0$ the area of one cap, p the `area_power`. Level i is for lengths from
    2^-(i+1) to 2^-i times the largest, theta. What is left is small and smooth: series lose nothing to rounding.
    """
    cosine = np.longdouble(cap_cosine)
    theta = np.arccos(cosine)
    places = (np.arange(TERMS) + np.longdouble(0.5)) * np.arccos(np.longdouble(-1)) / TERMS
    # From -1 .. 1 to one half .. 1.
    shares = np.ldexp((np.cos(places) + 3) / 4, -np.arange(LEVELS)[:, None])  # (LEVELS, TERMS)
    whole = _log_area(theta[None], cosine, dim)
    logarithm = _log_area(theta * shares, cosine, dim) - whole - area_power(dim, cap_cosine) * np.log(shares)
    cosines = np.cos(np.arange(TERMS)[:, None] * places) * np.where(np.arange(TERMS) == 0, 1, 2)[:, None] / TERMS
    return np.asarray((logarithm @ cosines.T).reshape(-1).astype(dtype))


def _log_area(length: NDArray[Any], cap_cosine: Any, dim: int) -> NDArray[Any]:
    r"""Return the logarithm of the integral of $(1 - \cos^2\theta / \cos^2 t)^{(dim - 2)/2}$ over an end of 0 .. theta.

    `length` is how much of it. In the longest floats that NumPy has. The double-exponential rule takes both ends: the
    one where the integrand vanishes like a power, and the other, where its mass is in high dimensions.
    """
    power, theta, pi = np.longdouble(dim - 2) / 2, np.arccos(cap_cosine), np.arccos(np.longdouble(-1))

    def log_base(rest: NDArray[Any]) -> NDArray[Any]:
        """The logarithm of the base at t = theta - rest, by whichever form does not cancel."""
        cosine = np.cos(theta - rest)
        small = np.minimum((cap_cosine / cosine) ** 2, 0.5)
        product = np.log(np.sin(rest) / cosine * (np.sin(2 * theta - rest) / cosine))
        return np.where(small < 0.5, np.log1p(-small), product)

    step = np.longdouble(1) / 32
    x = np.arange(-112, 113) * step
    share = 1 / (1 + np.exp(-pi * np.sinh(x)))
    weight = step * pi * np.cosh(x) * share / (1 + np.exp(pi * np.sinh(x)))
    if power == 0 or cap_cosine == 0:  # the base is 1, or its power is
        return np.log(length)
    largest = log_base(length)
    with np.errstate(under="ignore"):
        relative = np.exp(power * (log_base(length[..., None] * share) - largest[..., None]))
    return np.asarray(power * largest + np.log(length * (relative * weight).sum(axis=-1)))
