r"""How much of a sphere lies near both of two points: the overlap of two caps.

In the continuous version of sparse distributed memory addresses are points of the unit sphere in n dimensions, and what
is written or read reaches the cap of all points within an angle $\theta$. Query and pattern share the intersection of
their caps, and how large it is depends on the angle $\varphi$ between the two alone.

Look at the sphere from above the plane that holds both centers. A point of the sphere, uniformly drawn, casts a shadow
there whose direction is uniform and whose distance $\rho$ from the middle satisfies
$P(\rho > r) = (1 - r^2)^{(n-2)/2}$. Each cap is a half-plane in this view, $\langle x, a \rangle \ge \cos\theta$, so
the intersection is a wedge, symmetric about the bisector. In the direction $\psi$ from the bisector the wedge begins at
$r = \cos\theta / \cos(\varphi/2 + |\psi|)$. Summing over the directions, with $t = \varphi/2 + |\psi|$,

$$J(\varphi) = \frac1\pi \int_{\varphi/2}^{\theta} \Bigl(1 - \frac{\cos^2\theta}{\cos^2 t}\Bigr)^{(n-2)/2} dt
  \qquad (\varphi < 2\theta), \qquad J = 0 \text{ otherwise.}$$

In the plane (n = 2) the integrand is 1, and so it is for half spheres ($\theta = \pi/2$) in every dimension. Lee and
Kim have the same number as an integral over an incomplete beta function.

**Numerics.** Near the end of the interval $\cos\theta/\cos t$ is close to 1, and the difference is taken as
$\sin(\theta - t) \sin(\theta + t) / \cos^2 t$, which does not cancel. The integrand vanishes there like a half-integer
power in odd dimensions, and in high dimensions its mass crowds at the other end. The double-exponential rule copes
with both: $s = 1/(1 + e^{-\pi \sinh x})$ sends both ends to infinity, and an even sum over x converges exponentially.
The value at $t = \varphi/2$, the largest, is taken out of the integral, so that the logarithm exists where the fraction
underflows.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract.binding import check_array_like
from ..contract.options import Flag, Integer, Number
from ..visibility import Reals

CAP_COSINE = Number(low=0.0, high=1.0, open_high=True, draw=(0.0, 0.9))


def sdm_cap_intersection(cosine: Any, *, dim: int, cap_cosine: float, log: bool = False) -> NDArray[np.float64]:
    r"""Measure the intersection of two equal caps of the unit sphere, as a fraction of the sphere.

    $$J = \frac1\pi \int_{\varphi/2}^{\theta} \Bigl(1 - \frac{\cos^2\theta}{\cos^2 t}\Bigr)^{(\mathrm{dim}-2)/2} dt,
      \qquad \theta = \arccos \mathrm{cap\_cosine}, \quad \varphi = \arccos \mathrm{cosine}$$

    Parameters
    ----------
    cosine : real array
        Cosine of the angle between the centers of the caps, from -1 to 1.
    dim : int
        n, the dimension of the space, at least 2.
    cap_cosine : float
        Cosine of the angle from the center of a cap to its rim: at least 0 (half the sphere) and below 1. A Hamming
        radius r of b bits corresponds to 1 - 2 r / b.
    log : bool, default False
        Return the logarithm; minus infinity where the caps do not meet.

    Returns
    -------
    float64 array of the shape of `cosine`
        Between 0 and one half; NaN where the cosine is NaN.

    Raises
    ------
    ValueError
        If a cosine lies outside -1 .. 1, `dim` is below 2 or `cap_cosine` outside [0, 1).
    TypeError
        If `cosine` is not real, or `dim` not whole.

    Notes
    -----
    Cost: one quadrature of 205 points per value.

    `sdm_circle_intersection` is the same for bits. The relative error is a few units in the last place of the angles:
    near a cosine of 1 a small error of the cosine is a large one of the angle.

    References
    ----------
    Bricken & Pehlevan, "Attention Approximates Sparse Distributed Memory", 2021, arXiv 2111.05498.
    Lee & Kim, "Concise formulas for the surface area of the intersection of two hyperspherical caps", 2014.

    Examples
    --------
    Two half spheres share half of themselves if their poles are orthogonal, in every dimension:

    >>> import numpy as np
    >>> [round(float(sdm_cap_intersection(0.0, dim=dim, cap_cosine=0.0)), 12) for dim in (2, 3, 100)]
    [0.25, 0.25, 0.25]

    Smaller caps in 64 dimensions: the logarithm is nearly a straight line in the cosine.

    >>> sdm_cap_intersection(np.array([1.0, 0.75, 0.5, 0.25, 0.0]), dim=64, cap_cosine=0.25, log=True).round(1)
    array([-3.8, -4.8, -5.6, -6.5, -7.8])
    """
    function = "sdm_cap_intersection"
    dim = Integer(low=2).check(function, "dim", dim)
    cap_cosine, log = CAP_COSINE.check(function, "cap_cosine", cap_cosine), Flag().check(function, "log", log)
    cosine = np.asarray(check_array_like(function, "cosine", cosine))
    if cosine.dtype.kind not in "fiu":
        raise TypeError(f"{function}: cosine has dtype {cosine.dtype}; it needs real numbers")
    if cosine.size and bool((np.abs(cosine) > 1).any()):
        raise ValueError(f"{function}: cosine holds {cosine[np.abs(cosine) > 1][0]}; it needs numbers from -1 to 1")
    fraction = log_cap_intersection(cosine.astype(np.float64), dim, cap_cosine)
    return np.asarray(fraction if log else np.exp(fraction))


def log_cap_intersection(cosine: Reals, dim: int, cap_cosine: float) -> Reals:
    r"""Return $\log J$, minus infinity where the caps do not meet."""
    theta = np.arccos(cap_cosine)
    length = theta - np.arccos(cosine) / 2  # of the interval of t
    apart = length <= 0
    length = np.where(apart, theta, length)

    def log_integrand(rest: Reals) -> Reals:
        """The logarithm of the integrand at t = theta - rest."""
        square = (cap_cosine / np.cos(theta - rest)) ** 2
        near_the_end = np.log(np.sin(rest) * np.sin(2 * theta - rest) / np.cos(theta - rest) ** 2)
        return (dim - 2) / 2 * np.where(square > 1 / 2, near_the_end, np.log1p(-np.minimum(square, 1 / 2)))

    from_the_end, weight = _double_exponential()
    largest = log_integrand(length)  # at t = phi / 2
    # The integrand falls with t; where rounding says otherwise, next to the end, it is bounded.
    relative = np.exp(np.minimum(log_integrand(length[..., None] * from_the_end) - largest[..., None], 0))
    integral = length * (relative * weight).sum(axis=-1)
    return np.where(apart, -np.inf, largest + np.log(integral / np.pi))


@lru_cache(maxsize=1)
def _double_exponential() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return 1 - s for the nodes s of the rule on [0, 1], and their weights."""
    step = 1 / 32
    x = np.arange(-102, 103) * step  # at the ends the weights are below 1e-15
    s, rest = 1 / (1 + np.exp(-np.pi * np.sinh(x))), 1 / (1 + np.exp(np.pi * np.sinh(x)))
    return rest, step * np.pi * np.cosh(x) * s * rest
