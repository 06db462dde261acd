r"""The softmax that is hidden in a sparse distributed memory.

The weight that a sparse distributed memory gives to a pattern at Hamming distance v is proportional to $I(v)$, the
overlap of two balls (`sdm_circle_intersection`). Its logarithm is nearly a straight line in v, and so in the cosine
$1 - 2v/b$ of the bipolar vectors:

$$\log I(v) \approx \beta \Bigl(1 - \frac{2v}{b}\Bigr) + \mathrm{const} .$$

So $I(v) / \sum I$ is nearly a softmax of cosines with inverse temperature $\beta$, the slope of the line by least
squares over the distances $v < r$, where nearly all of the weight is. This is the sense in which attention approximates
the memory: queries and keys of unit length, and this $\beta$ in the softmax (`cosine_attention`).

A small radius makes a steep line: few neurons are shared, and only near patterns count. The best radius against noise
(`sdm_optimal_radius`) thus asks for a $\beta$ of its own. The figure shows where it lies among those that the heads of
a real transformer have: it is of their order, and many of them are steeper.

The official code multiplies the slope by N/(N - 1) for N distances, a covariance with N - 1 over a variance with N.
The slope of the logarithm of the largest summand alone, $(b - 2r)^2 / 4b$, is too small by a factor of 2 to 5.
"""

from typing import Any

import numpy as np

from ..contract.options import Integer
from ..contract.utilities import check_labels
from .sdm_circle_intersection import sdm_circle_intersection


def sdm_beta(*, dim: int, radius: int, distances: Any = None) -> float:
    r"""Fit the inverse temperature with which a softmax of cosines comes closest to the memory.

    $$\beta = \frac{\sum_v (c_v - \bar c)(\log I(v) - \overline{\log I})}{\sum_v (c_v - \bar c)^2}, \qquad
      c_v = 1 - \frac{2v}{\mathrm{dim}}$$

    Parameters
    ----------
    dim : int
        b, the number of bits of an address.
    radius : int
        r, the Hamming radius of reading and writing: at least 2 and at most dim / 2.
    distances : (k,) integer array, optional
        The distances v over which to fit, at least two different ones; 0 .. radius - 1 if not given.

    Returns
    -------
    float
        The slope, per unit of cosine; positive.

    Raises
    ------
    ValueError
        If `radius` lies outside 2 .. dim / 2, or the distances are fewer than two, outside 0 .. dim, or out of reach
        (above 2 radius, where I is 0).
    TypeError
        If something is not whole.

    Notes
    -----
    Cost: O(dim) products of whole numbers and a fit. Related: `sdm_attention`, `sdm_circle_intersection`.

    References
    ----------
    Bricken & Pehlevan, "Attention Approximates Sparse Distributed Memory", 2021, arXiv 2111.05498.

    Examples
    --------
    64 bits: the smaller the radius, the sharper the softmax.

    >>> [round(sdm_beta(dim=64, radius=radius), 2) for radius in (27, 23, 19)]
    [1.78, 3.5, 5.97]
    """
    function = "sdm_beta"
    dim = Integer(low=4).check(function, "dim", dim)
    radius = Integer(low=2).check(function, "radius", radius)
    if radius > dim / 2:
        raise ValueError(f"{function}: radius is {radius}; it needs to be at most dim / 2 = {dim / 2:g}")
    chosen = np.arange(radius) if distances is None else distances
    v = check_labels(function, "distances", chosen, "(k,)", high=min(2 * radius, dim))
    if len(np.unique(v)) < 2:
        raise ValueError(f"{function}: distances holds {len(np.unique(v))} different numbers; it needs at least 2")
    cosine = 1 - 2 * v / dim
    log_count = sdm_circle_intersection(v, dim=dim, radius=radius, log=True)
    centered = cosine - cosine.mean()
    return float(centered @ (log_count - log_count.mean()) / (centered @ centered))
