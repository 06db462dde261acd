r"""Priors over a latent edge: to which key a query may be joined, before any score has been seen.

All of them are logarithms, one row per query and one column per key, for the argument `log_prior` of
`structural_prior_attention`: 0 is an edge like any other, $-\infty$ an impossible one. A constant per row means
nothing, so none of them is normalized. As logarithms they may be added, which multiplies the beliefs.

Positions are those of `causal=True`: the last query stands at the last key, and query i at the key $i + n - m$.
"""

from typing import Any

import numpy as np

from ..contract.options import Integer, Number
from ..contract.utilities import check_booleans, check_reals
from ..normalizers.masks import causal_mask
from ..visibility import Reals

_SIZE = Integer(low=0)
_SIGMA = Number(low=0.0, open_low=True)
_RATE = Number(low=0.0, high=1.0, open_low=True, open_high=True)


def uniform_prior(m: int, n: int) -> Reals:
    r"""Believe nothing: every edge is as likely as any other.

    $\log \pi_{ij} = 0$.

    Parameters
    ----------
    m, n : int
        Numbers of queries and keys, at least 0.

    Returns
    -------
    (m, n) float64 array

    Raises
    ------
    ValueError, TypeError
        If a size is negative or not a whole number.

    Notes
    -----
    Cost: O(m n). With it `structural_prior_attention` is `softmax_attention`.

    References
    ----------
    Singh & Buckley, "Attention: Marginal Probability is All You Need?", 2023, arXiv 2304.04556.

    Examples
    --------
    >>> uniform_prior(1, 3)
    array([[0., 0., 0.]])
    """
    return np.zeros((_SIZE.check("uniform_prior", "m", m), _SIZE.check("uniform_prior", "n", n)))


def causal_prior(m: int, n: int) -> Reals:
    r"""Believe that the edge leads to the past or to the present.

    $\log \pi_{ij} = 0$ where $j \le i + n - m$, and $-\infty$ elsewhere.

    Parameters
    ----------
    m, n : int
        Numbers of queries and keys, at least 0.

    Returns
    -------
    (m, n) float64 array

    Raises
    ------
    ValueError, TypeError
        If a size is negative or not a whole number.

    Notes
    -----
    Cost: O(m n). The logarithm of `causal_mask`. Prefer `causal=True`, with which an engine skips what is impossible.

    References
    ----------
    Singh & Buckley, "Attention: Marginal Probability is All You Need?", 2023, arXiv 2304.04556.

    Examples
    --------
    >>> causal_prior(2, 3)
    array([[  0.,   0., -inf],
           [  0.,   0.,   0.]])
    """
    m, n = _SIZE.check("causal_prior", "m", m), _SIZE.check("causal_prior", "n", n)
    return np.where(causal_mask(m, n), 0.0, -np.inf)


def gaussian_prior(m: int, n: int, *, sigma: float, center: Any = None) -> Reals:
    r"""Believe that the edge is short, or leads to about a known place.

    $\log \pi_{ij} = -(j - c_i)^2 / (2 \sigma^2)$.

    Parameters
    ----------
    m, n : int
        Numbers of queries and keys, at least 0.
    sigma : float
        Standard deviation, in positions; above 0.
    center : (m,) real array, optional
        $c_i$, where query i expects its key; $i + n - m$, its own place, if not given.

    Returns
    -------
    (m, n) float64 array

    Raises
    ------
    ValueError, TypeError
        If a size is negative or not a whole number, `sigma` is not above 0, or `center` has another shape.

    Notes
    -----
    Cost: O(m n). A large `sigma` is `uniform_prior`, a small one leaves the key next to the center alone.

    References
    ----------
    Singh & Buckley, "Attention: Marginal Probability is All You Need?", 2023, arXiv 2304.04556.

    Examples
    --------
    >>> gaussian_prior(1, 4, sigma=1.0, center=[1.5])
    array([[-1.125, -0.125, -0.125, -1.125]])
    """
    m, n = _SIZE.check("gaussian_prior", "m", m), _SIZE.check("gaussian_prior", "n", n)
    sigma = _SIGMA.check("gaussian_prior", "sigma", sigma)
    c = np.arange(m) + float(n - m)
    if center is not None:
        c = check_reals("gaussian_prior", "center", center, "(m,)", 1, exact=True)
        if len(c) != m:
            raise ValueError(f"gaussian_prior: center has {len(c)} entries; it needs m = {m}")
    with np.errstate(over="ignore"):  # infinitely many sigmas away is impossible
        return -(((np.arange(n) - c[:, None]) / sigma) ** 2) / 2


def geometric_prior(m: int, n: int, *, rate: float) -> Reals:
    r"""Believe that the edge leads back, each further step being less likely by a constant factor.

    $\log \pi_{ij} = (i + n - m - j) \log(1 - \mathrm{rate})$ where $j \le i + n - m$, and $-\infty$ elsewhere.

    Parameters
    ----------
    m, n : int
        Numbers of queries and keys, at least 0.
    rate : float
        Between 0 and 1, both excluded: the chance to stop at each step back.

    Returns
    -------
    (m, n) float64 array

    Raises
    ------
    ValueError, TypeError
        If a size is negative or not a whole number, or `rate` does not lie between 0 and 1.

    Notes
    -----
    Cost: O(m n). It is the bias of ALiBi with the slope $-\log(1 - \mathrm{rate})$, under a causal mask.

    References
    ----------
    Singh & Buckley, "Attention: Marginal Probability is All You Need?", 2023, arXiv 2304.04556.
    Press, Smith & Lewis, "Train Short, Test Long", 2021, arXiv 2108.12409 (the bias).

    Examples
    --------
    >>> np.exp(geometric_prior(1, 4, rate=0.5))
    array([[0.125, 0.25 , 0.5  , 1.   ]])
    """
    m, n = _SIZE.check("geometric_prior", "m", m), _SIZE.check("geometric_prior", "n", n)
    rate = _RATE.check("geometric_prior", "rate", rate)
    back = np.arange(m)[:, None] + n - m - np.arange(n)
    return np.where(back >= 0, back * np.log1p(-rate), -np.inf)


def neighborhood_prior(adjacency: Any) -> Reals:
    r"""Believe that the edge is one of a given graph.

    $\log \pi_{ij} = 0$ where there is an edge, and $-\infty$ elsewhere.

    Parameters
    ----------
    adjacency : (..., m, n) boolean array
        True where i and j are neighbors; self-loops included if wanted.

    Returns
    -------
    (..., m, n) float64 array

    Raises
    ------
    TypeError
        If `adjacency` is not boolean.
    ValueError
        If it has fewer than two axes.

    Notes
    -----
    Cost: O(m n). The same as `mask=adjacency`; a prior can be added to others.

    References
    ----------
    Singh & Buckley, "Attention: Marginal Probability is All You Need?", 2023, arXiv 2304.04556.

    Examples
    --------
    A path of three nodes:

    >>> neighborhood_prior(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=bool))
    array([[-inf,   0., -inf],
           [  0., -inf,   0.],
           [-inf,   0., -inf]])
    """
    adjacency = check_booleans("neighborhood_prior", "adjacency", adjacency, "(..., m, n)", rank=None)
    if adjacency.ndim < 2:
        raise ValueError(f"neighborhood_prior: adjacency has shape {adjacency.shape}; it needs the shape (..., m, n)")
    return np.where(adjacency, 0.0, -np.inf)
