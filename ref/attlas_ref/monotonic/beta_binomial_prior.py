r"""Beta-binomial priors: how far attention moves in a step, and where it should be.

Draw a coin's bias from a beta distribution and throw it N times. The number of heads is beta-binomial,

$$P(k) = \binom{N}{k} \frac{B(k + \alpha,\; N - k + \beta)}{B(\alpha, \beta)}, \qquad k = 0, \dots, N,$$

with the mean $N \alpha / (\alpha + \beta)$: a bell, a slope or a bathtub on a finite range of whole numbers.

`dynamic_convolution_attention` takes it as a prior of the step: how many keys attention moves on. With $\alpha = 0.1$,
$\beta = 0.9$ and N = 10 that is one key on average, most often none, never backward. Aligners of speech with text take
it as a prior of the place: at frame i of m, where among n symbols is one? With $\alpha = i + 1$ and $\beta = m - i$ the
mean runs along the diagonal, and the prior is narrow at both ends and wide in the middle.

Logarithms of the beta and gamma functions keep it finite for long ranges; what rounding they leave is divided out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from ..contract.options import Integer, Number

_SIZE = Integer(low=1)
_POSITIVE = Number(low=0.0, open_low=True)


def beta_binomial_prior(length: int, *, alpha: float, beta: float) -> NDArray[np.float64]:
    r"""Probabilities of 0, 1, ..., length - 1 heads in length - 1 throws of a coin of unknown bias.

    $$P(k) = \binom{N}{k} \frac{B(k + \alpha,\; N - k + \beta)}{B(\alpha, \beta)}, \qquad N = \mathrm{length} - 1$$

    Parameters
    ----------
    length : int
        At least 1.
    alpha, beta : float
        Above 0: how much speaks for many, and for few.

    Returns
    -------
    (length,) float64 array
        Sums to 1; the mean is N alpha / (alpha + beta).

    Raises
    ------
    ValueError, TypeError
        If `length` is below 1 or not a whole number, or `alpha` or `beta` is not above 0.

    Notes
    -----
    Cost: 3 length logarithms of the gamma function. With alpha = beta = 1 all numbers are alike. The prior filter of
    `dynamic_convolution_attention`; one row of `beta_binomial_alignment_prior`.

    References
    ----------
    Battenberg et al., "Location-Relative Attention Mechanisms for Robust Long-Form Speech Synthesis", 2020,
    arXiv 1910.10288, section 3.2.

    Examples
    --------
    The step of attention in the paper, one key on average:

    >>> prior = beta_binomial_prior(11, alpha=0.1, beta=0.9)
    >>> prior[:4].round(3)
    array([0.74 , 0.075, 0.042, 0.029])
    >>> round(float(prior @ np.arange(11)), 12)
    1.0
    """
    length = _SIZE.check("beta_binomial_prior", "length", length)
    alpha = _POSITIVE.check("beta_binomial_prior", "alpha", alpha)
    beta = _POSITIVE.check("beta_binomial_prior", "beta", beta)
    return _mass(length - 1, alpha, beta)


def beta_binomial_alignment_prior(m: int, n: int, *, scale: float = 1.0) -> NDArray[np.float64]:
    r"""Probability of each of n places at each of m steps: a diagonal band, narrow at both ends.

    $$P_{ij} = \binom{n-1}{j} \frac{B(j + \alpha_i,\; n - 1 - j + \beta_i)}{B(\alpha_i, \beta_i)}, \qquad
      \alpha_i = \mathrm{scale}\,(i + 1), \quad \beta_i = \mathrm{scale}\,(m - i)$$

    Parameters
    ----------
    m, n : int
        Numbers of steps and of places, at least 1.
    scale : float, default 1
        Above 0: the larger, the narrower the band.

    Returns
    -------
    (m, n) float64 array
        Rows sum to 1. Row i has the mean (n - 1) (i + 1) / (m + 1).

    Raises
    ------
    ValueError, TypeError
        If a size is below 1 or not a whole number, or `scale` is not above 0.

    Notes
    -----
    Cost: 3 m n logarithms of the gamma function. Its logarithm is added to the scores of an aligner as a bias, until
    the aligner has learned; row i is `beta_binomial_prior`.

    References
    ----------
    Shih et al., "RAD-TTS: Parallel Flow-Based TTS with Robust Alignment Learning and Diverse Synthesis", 2021.
    Badlani et al., "One TTS Alignment To Rule Them All", 2021, arXiv 2108.10447.

    Examples
    --------
    >>> beta_binomial_alignment_prior(3, 4).round(2)
    array([[0.5 , 0.3 , 0.15, 0.05],
           [0.2 , 0.3 , 0.3 , 0.2 ],
           [0.05, 0.15, 0.3 , 0.5 ]])
    """
    m = _SIZE.check("beta_binomial_alignment_prior", "m", m)
    n = _SIZE.check("beta_binomial_alignment_prior", "n", n)
    scale = _POSITIVE.check("beta_binomial_alignment_prior", "scale", scale)
    i = np.arange(m)[:, None]
    return _mass(n - 1, scale * (i + 1), scale * (m - i))


def _mass(throws: int, alpha: Any, beta: Any) -> NDArray[np.float64]:
    """Return the probability of each number of heads, (..., throws + 1)."""
    k = np.arange(throws + 1)
    log_binomial = -np.log(throws + 1) - betaln(k + 1, throws - k + 1)
    mass = np.exp(log_binomial + betaln(k + alpha, throws - k + beta) - betaln(alpha, beta))
    return np.asarray(mass / mass.sum(axis=-1, keepdims=True))
