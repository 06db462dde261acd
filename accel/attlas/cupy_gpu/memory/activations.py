"""Functions of one number that NumPy and CuPy do not share: the normal distribution, from what they do share."""

from functools import lru_cache
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.polynomial import chebyshev
from scipy.special import erfcx

from ..tile import logistic

LARGEST_EXPONENT = 709.782712893384
"""Beyond it an exponential in double precision is no normal number; libraries let the distribution end there."""


def activated(x: Any, activation: str) -> Any:
    """Return gelu, relu, silu or the numbers themselves."""
    xp = array_namespace(x)
    if activation == "gelu":
        return x * normal_distribution(x)
    if activation == "relu":
        return xp.maximum(x, 0)
    if activation == "silu":
        return x * logistic(xp, x)
    return x


def slope(x: Any, activation: str) -> Any:
    """Return the derivative of gelu or of the numbers themselves."""
    xp = array_namespace(x)
    if activation == "gelu":
        return normal_distribution(x) + x * xp.exp(x * x * -0.5) * float(1 / np.sqrt(2 * np.pi))
    return xp.full_like(x, 1)


def normal_distribution(x: Any) -> Any:
    """Return Φ(x), with all its digits in the lower tail too.

    With z = |x| / √2 and t = 2 / (2 + z), erfc(z) is t exp(-z²) times the exponential of a smooth function of t, which
    is a polynomial here.
    """
    xp = array_namespace(x)
    size = xp.abs(x)
    t = 2 / (2 + size * float(np.sqrt(0.5)))
    y = 4 * t - 2  # twice the variable, which runs from -1 to 1
    series = _series(str(x.dtype))
    after = before = xp.zeros_like(x)
    for coefficient in reversed(series[1:]):
        after, before = y * after - before + coefficient, after
    exponent = y / 2 * after - before + series[0]
    # x² in two parts, the larger one exact: the exponential of a rounded square would lose digits.
    large = xp.floor(16 * xp.minimum(size, 64.0)) / 16
    tail = t * xp.exp(exponent) * xp.exp(large * large * -0.5) * xp.exp((large - size) * (large + size) / 2) / 2
    tail = xp.where(size * size > 2 * LARGEST_EXPONENT, 0, tail)
    return xp.where(x > 0, 1 - tail, tail)


@lru_cache(maxsize=2)
def _series(dtype: str) -> tuple[float, ...]:
    """Return Chebyshev's coefficients of log(erfc(z) exp(z²) / t) over t, as many as the precision asks for."""

    def smooth(y: Any) -> Any:
        t = (np.maximum(y, -1 + 1e-15) + 1) / 2
        return np.log(erfcx(2 / t - 2) / t)

    coefficients = chebyshev.chebinterpolate(smooth, 40)
    size = np.flatnonzero(np.abs(coefficients) > np.finfo(dtype).eps / 2)[-1] + 1
    return tuple(coefficients[:size].tolist())
