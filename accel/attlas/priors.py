"""Priors of where to look, computed on the host: a few numbers for a call."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln


def moving_prior(length: int, alpha: float, beta: float) -> NDArray[Any]:
    """Return the beta-binomial probabilities of moving by 0, 1, ..., length - 1 keys, in float64.

    Examples
    --------
    >>> moving_prior(3, 1.0, 1.0).round(3)
    array([0.333, 0.333, 0.333])
    """
    k, last = np.arange(length), length - 1
    log_ways = -np.log(length) - betaln(k + 1, last - k + 1)
    mass = np.exp(log_ways + betaln(k + alpha, last - k + beta) - betaln(alpha, beta))
    return np.asarray(mass / mass.sum())
