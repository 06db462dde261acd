r"""A table of the logarithm of what two caps of a sphere share.

With theta the angle of a cap and phi that of the centers, the intersection is

    J = 1/pi · ∫ D(t)^k dt over t from phi/2 to theta,  D(t) = 1 - (cos theta / cos t)²,  k = (dim - 2) / 2,

and it is smooth in the length L = theta - phi/2 of the interval, except at its end: J vanishes there like L^(k + 1),
and for caps of nearly half a sphere D has a pole just beyond. Both look alike in every octave of L. So log J is
tabulated in polynomials over `PIECES` pieces of each of `OCTAVES` octaves below theta, each a Chebyshev interpolation
of degree `DEGREE` in L.

Interpolation error: log J is singular at L = 0 and beyond, 2 PIECES half widths or more from the middle of a piece. In
high dimensions it is also curved near phi = 0, where J is an error function of sqrt(k) (1 - L / theta), whose nearest
zero is 2.4 away: 9.6 PIECES / sqrt(k) half widths. A distance of r half widths leaves an error of about
(2 r)^-(DEGREE + 1): less than a unit of float64, up to dim 1000 less than 16 units of dim / 2 + |log J|, about what an
angle's own rounding does. Intervals shorter than the last octave are within the rounding error of an angle and count as
it.
"""

from functools import lru_cache

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

OCTAVES, PIECES, DEGREE = 50, 16, 11

Reals = NDArray[np.float64]


@lru_cache(maxsize=16)
def log_cap_table(dim: int, cap_cosine: float) -> Reals:
    """Return (OCTAVES * PIECES, DEGREE + 1): of log J, the coefficients by powers of the place in a piece, -1 to 1.

    The pieces run from short intervals to long ones. The value at L = theta, where the centers are one, is taken off.
    """
    theta = np.arccos(cap_cosine)
    nodes = chebyshev.chebpts1(DEGREE + 1)
    first = 1 + np.arange(PIECES) / PIECES  # of an octave from 1 to 2
    pieces = first[:, None] + (nodes + 1) / (2 * PIECES)  # (PIECES, nodes)
    octaves = 2.0 ** np.arange(-OCTAVES, 0)
    length = theta * octaves[:, None, None] * pieces
    logarithm = _log_intersection(length.reshape(-1, DEGREE + 1), theta, cap_cosine, (dim - 2) / 2)
    whole = _log_intersection(np.array([[theta]]), theta, cap_cosine, (dim - 2) / 2)
    # Interpolation in Chebyshev polynomials is a product with their values at the nodes.
    values = chebyshev.chebvander(nodes, DEGREE)
    coefficients = (logarithm - whole) @ (values * np.where(np.arange(DEGREE + 1) == 0, 1, 2)) / (DEGREE + 1)
    powers = np.zeros((DEGREE + 1, DEGREE + 1))  # of each Chebyshev polynomial
    for degree, one in enumerate(np.eye(DEGREE + 1)):
        powers[degree, : degree + 1] = chebyshev.cheb2poly(one[: degree + 1])
    return np.ascontiguousarray(coefficients @ powers)


def _log_intersection(length: Reals, theta: float, cap_cosine: float, power: float) -> Reals:
    """Return log(pi J) for some lengths of the interval, by the double-exponential rule."""

    cap_sine = np.sin(theta)

    def log_d(rest: Reals) -> Reals:
        """log D at t = theta - rest: near the end of the interval from sines, which do not cancel."""
        sine, cosine = np.sin(rest), np.cos(rest)
        opposite = cap_cosine * cosine + cap_sine * sine  # cos t, also where that is almost 0
        square = (cap_cosine / opposite) ** 2
        beyond = 2 * cap_sine * cap_cosine * cosine + (cap_sine - cap_cosine) * (cap_sine + cap_cosine) * sine
        near = np.log(sine * beyond / opposite**2)  # sin(theta - t) sin(theta + t) / cos² t
        return np.where(square > 1 / 2, near, np.log1p(-np.minimum(square, 1 / 2)))

    step = 1 / 32
    x = np.arange(-102, 103) * step  # at the ends the weights are below 1e-15
    rest = 1 / (1 + np.exp(np.pi * np.sinh(x)))
    weight = step * np.pi * np.cosh(x) * rest / (1 + np.exp(-np.pi * np.sinh(x)))
    largest = log_d(length)
    relative = np.exp(power * np.minimum(log_d(length[..., None] * rest) - largest[..., None], 0))
    return power * largest + np.log(length * (relative @ weight))
