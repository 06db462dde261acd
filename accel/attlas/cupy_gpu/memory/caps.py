"""The share of a sphere that two caps have in common, as a function of the cosine between them.

With the caps' half-angle θ and an angle of φ between their centers it is J = (1/π) ∫ (1 - cos²θ / cos²t)^((dim-2)/2) dt
from φ/2 to θ. The integral is done once, on the host: log J is a smooth function of the interval's length wherever the
length changes by less than itself. So the lengths are cut into octaves, each octave into equal pieces (more of them in
high dimensions, where J changes faster), and each piece has its polynomial. Its error is that of rounding: some units
in the last place of log J.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

DEGREE = 12
OCTAVES = 56
"""Beyond the last bit of a difference of two angles."""


def log_cap_fractions(xp: Any, dim: int, cap_cosine: float) -> Callable[[Any], Any]:
    """Make the function from cosines to log J in double precision, -inf where the caps are apart."""
    theta, (table, pieces) = math.acos(cap_cosine), _table(dim, cap_cosine)
    powers = xp.asarray(table)

    def log_fraction(cosine: Any) -> Any:
        length = theta - xp.arccos(cosine.astype("float64")) / 2
        share = xp.where(length > 0, length / theta, 1.0)
        # A share next to a power of 2 may be counted to either octave: the polynomials meet there.
        octave = xp.minimum(xp.maximum(xp.floor(xp.log(share) / -math.log(2)), 0), OCTAVES - 1)
        mantissa = share * 2.0**octave
        place = (2 * mantissa - 1) * pieces
        piece = xp.minimum(xp.maximum(xp.floor(place), 0), pieces - 1)
        x = 2 * (place - piece) - 1
        row = (octave * pieces + piece).astype("int64")
        total = powers[DEGREE][row]
        for power in range(DEGREE - 1, -1, -1):
            total = total * x + powers[power][row]
        return xp.where(length <= 0, -math.inf, total + 0 * length)  # a NaN stays

    return log_fraction


@lru_cache(maxsize=32)
def _table(dim: int, cap_cosine: float) -> tuple[NDArray[np.float64], int]:
    """Return the coefficients of the polynomials, (power, octave and piece), and the number of pieces of an octave."""
    pieces, theta = 16 * math.ceil(math.sqrt(dim / 1000)), math.acos(cap_cosine)
    nodes = np.cos(np.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))
    octave, piece = np.divmod(np.arange(OCTAVES * pieces), pieces)
    shares = (0.5 + (piece[:, None] + (nodes + 1) / 2) / (2 * pieces)) * 2.0 ** -octave[:, None]
    values = _log_fraction(theta * shares, theta, dim)  # (pieces of all octaves, nodes)
    # Chebyshev's polynomials are orthogonal over these nodes.
    basis = chebyshev.chebvander(nodes, DEGREE) * (2 / (DEGREE + 1))
    basis[:, 0] /= 2
    series = values @ basis
    to_powers = np.stack([np.pad(chebyshev.cheb2poly(row), (0, DEGREE - r)) for r, row in enumerate(_unit_rows())])
    return np.ascontiguousarray((series @ to_powers).T), pieces


def _unit_rows() -> list[NDArray[np.float64]]:
    """Return the coefficients of each of Chebyshev's polynomials alone."""
    return [np.eye(DEGREE + 1)[r, : r + 1] for r in range(DEGREE + 1)]


def _log_fraction(length: NDArray[np.float64], theta: float, dim: int) -> NDArray[np.float64]:
    """Integrate over lengths > 0, by a rule whose nodes crowd at both ends, relative to the largest value."""
    x = np.arange(-102, 103) / 32  # at the ends the weights are below 1e-15
    from_the_end = 1 / (1 + np.exp(np.pi * np.sinh(x)))
    weight = np.pi / 32 * np.cosh(x) * from_the_end / (1 + np.exp(-np.pi * np.sinh(x)))
    largest = _log_integrand(length, theta, dim)
    integral = np.zeros_like(length)
    for node, share in zip(from_the_end, weight, strict=True):
        integral += share * np.exp(np.minimum(_log_integrand(node * length, theta, dim) - largest, 0))
    result: NDArray[np.float64] = largest + np.log(length * integral / np.pi)
    return result


def _log_integrand(rest: NDArray[np.float64], theta: float, dim: int) -> NDArray[np.float64]:
    """Return the logarithm at t = theta - rest; 1 - cos²θ / cos²t without cancellation on either side."""
    cosine = np.cos(theta - rest)
    square = (math.cos(theta) / cosine) ** 2
    near = np.log(np.sin(rest) * np.sin(2 * theta - rest) / cosine**2)
    logarithm: NDArray[np.float64] = (dim - 2) / 2 * np.where(square > 0.5, near, np.log1p(-np.minimum(square, 0.5)))
    return logarithm
