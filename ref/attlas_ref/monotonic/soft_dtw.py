r"""Dynamic time warping, hard and soft: two series laid over each other by stretching time.

The same word spoken twice is never equally long. Time warping pairs every moment of one series with one of the other,
in order and leaving out none: a path through the matrix of costs from the first corner to the last, by steps down, to
the right or along the diagonal. `dtw_path` is the cheapest path,

$$R_{ij} = D_{ij} + \min(R_{i-1,j},\; R_{i,j-1},\; R_{i-1,j-1}), \qquad R_{00} = D_{00},$$

with $D$ = `cost`. The minimum jumps from path to path and is a poor teacher. `soft_dtw` takes the soft minimum at the
temperature $\gamma$ instead,

$$\mathrm{softmin}_\gamma(a) = -\gamma \log \sum_l e^{-a_l / \gamma},$$

and all paths count: unrolled, the recursion is $-\gamma \log \sum_{\mathrm{paths}} e^{-\mathrm{cost} / \gamma}$, at
most the cheapest cost, and near it for small $\gamma$. Its derivative $E = \partial R / \partial D$ is the
probability, under $p \propto e^{-\mathrm{cost}/\gamma}$, that a path passes a cell: a soft alignment. It is carried
backward. A path in a cell came from each of the three before with the shares of the soft minimum, so

$$E_{ij} = \sum_{(i', j')} E_{i'j'} \, e^{(R_{i'j'} - D_{i'j'} - R_{ij}) / \gamma}$$

over the three cells that follow, from $E = 1$ in the last.

**Watch for:** $\mathrm{softmin}(a, a) < a$, so the soft cost of a series with itself is below 0, and may be lower still
for another. $R$ grows with the length of the path, and $E$ has as many digits fewer as $R / \gamma$ has before the
point.
"""

import numpy as np

from ..contract import SoftWarping, WarpingPath, reference
from ..log_space import log_sum_exp, shares
from ..visibility import Reals

BEFORE = ((1, 1), (1, 0), (0, 1))
"""From where a cell is entered, in steps back: along the diagonal, from above, from the left."""


@reference
def soft_dtw(cost: Reals, *, gamma: float = 1.0, return_alignment: bool = False) -> Reals | SoftWarping:
    r"""Take the soft minimum of the costs of all warping paths.

    $$R_{ij} = D_{ij} + \mathrm{softmin}_\gamma(R_{i-1,j}, R_{i,j-1}, R_{i-1,j-1}), \qquad
      R_{rc} = -\gamma \log \sum_{\mathrm{paths}} e^{-\mathrm{cost}(\mathrm{path}) / \gamma}$$

    Parameters
    ----------
    cost : (..., r, c) real array
        D: what it costs to pair a moment of one series (row) with one of the other (column); inf forbids it.
    gamma : float, default 1
        The temperature, above 0, in the unit of the cost.
    return_alignment : bool, default False
        Return the soft alignment too.

    Returns
    -------
    value : (...) array
        The soft minimum; inf if no path is possible.
    alignment : (..., r, c) array
        With `return_alignment` only: E, the probability that a path passes each cell, 1 in two corners; zeros if no
        path is possible.

    Raises
    ------
    ValueError
        If an axis is empty or `gamma` is not above 0.
    TypeError
        If `cost` is complex, an object or text.

    Notes
    -----
    Cost: three exponentials for each of r c cells, in r + c - 1 steps if the cells of an antidiagonal are computed
    together; O(r + c) memory, O(r c) with the alignment.

    The limit for small `gamma` is `dtw_path`; for large ones all paths are alike. Gradients: the alignment.

    References
    ----------
    Cuturi & Blondel, "Soft-DTW: a Differentiable Loss Function for Time-Series", 2017, arXiv 1703.01541, Algorithms 1
    and 2.

    Examples
    --------
    Two series that differ by a pause. Mild smoothing keeps the path, strong smoothing leaves it open:

    >>> import numpy as np
    >>> first, second = np.array([0.0, 0.0, 3.0]), np.array([0.0, 3.0])
    >>> cost = (first[:, None] - second) ** 2
    >>> soft_dtw(cost, gamma=1.0, return_alignment=True).alignment.round(2)
    array([[1., 0.],
           [1., 0.],
           [0., 1.]])
    >>> soft_dtw(cost, gamma=10.0, return_alignment=True).alignment.round(2)
    array([[1.  , 0.07],
           [0.76, 0.41],
           [0.17, 1.  ]])
    """
    rows, columns = cost.shape[-2:]
    total = np.full_like(cost, np.inf, shape=(*cost.shape[:-2], rows + 1, columns + 1))  # R, one row and column ahead
    total[..., 0, 0] = 0
    shares_before = np.zeros_like(cost, shape=(*cost.shape, len(BEFORE)))
    for i, j in np.ndindex(rows, columns):
        paths = _entered_from(total, i, j) / -gamma  # (..., 3)
        total[..., i + 1, j + 1] = _added(cost[..., i, j], -gamma * log_sum_exp(paths))
        shares_before[..., i, j, :] = shares(paths)
    value = total[..., rows, columns]
    return SoftWarping(value, _passed(value, shares_before)) if return_alignment else value


@reference
def dtw_path(cost: Reals) -> WarpingPath:
    r"""Find the cheapest warping path.

    $$R_{ij} = D_{ij} + \min(R_{i-1,j}, R_{i,j-1}, R_{i-1,j-1})$$

    Parameters
    ----------
    cost : (..., r, c) real array
        D: what it costs to pair a moment of one series (row) with one of the other (column); inf forbids it.

    Returns
    -------
    value : (...) array
        The cost of the path; inf if none is possible.
    path : (..., r, c) integer array
        1 on the path, which prefers the diagonal in a tie, then the step from above; zeros if no path is possible or a
        NaN leaves none the cheapest.

    Raises
    ------
    ValueError
        If an axis is empty.
    TypeError
        If `cost` is complex, an object or text.

    Notes
    -----
    Cost: r c comparisons of three, in r + c - 1 steps if the cells of an antidiagonal are computed together.

    `soft_dtw` is the soft minimum, `monotonic_alignment_search` allows two of the three steps. Gradients: of the value
    the path, where it is unique.

    References
    ----------
    Sakoe & Chiba, "Dynamic Programming Algorithm Optimization for Spoken Word Recognition", 1978.

    Examples
    --------
    >>> import numpy as np
    >>> first, second = np.array([0.0, 0.0, 3.0]), np.array([0.0, 3.0])
    >>> dtw_path((first[:, None] - second) ** 2)
    WarpingPath(value=array(0.), path=array([[1, 0],
           [1, 0],
           [0, 1]]))
    """
    rows, columns = cost.shape[-2:]
    total = np.full_like(cost, np.inf, shape=(*cost.shape[:-2], rows + 1, columns + 1))  # R, one row and column ahead
    total[..., 0, 0] = 0
    choices = np.zeros(cost.shape, dtype=np.int64)
    for i, j in np.ndindex(rows, columns):
        before = _entered_from(total, i, j)  # (..., 3)
        total[..., i + 1, j + 1] = _added(cost[..., i, j], before.min(axis=-1))
        choices[..., i, j] = before.argmin(axis=-1)
    value = total[..., rows, columns]

    path = np.zeros(cost.shape, dtype=np.int64)
    path[..., -1, -1] = value < np.inf
    for i, j in reversed(list(np.ndindex(rows, columns))):
        for step, (down, right) in enumerate(BEFORE):
            if i >= down and j >= right:
                path[..., i - down, j - right] |= path[..., i, j] & (choices[..., i, j] == step)
    return WarpingPath(value, path)


def _entered_from(total: Reals, i: int, j: int) -> Reals:
    """Return what paths cost in the three cells before (i, j), (..., 3)."""
    return np.stack([total[..., i + 1 - down, j + 1 - right] for down, right in BEFORE], axis=-1)


def _added(cost: Reals, total: Reals) -> Reals:
    """Return cost + total, where what cannot be reached stays so: inf plus NaN is inf."""
    return np.where(total == np.inf, np.inf, cost + total)


def _passed(value: Reals, shares_before: Reals) -> Reals:
    """Return how often paths pass each cell, (..., r, c), from the shares with which they entered it."""
    rows, columns = shares_before.shape[-3:-1]
    passed = np.zeros_like(shares_before[..., 0])
    passed[..., -1, -1] = np.where(value == np.inf, 0, np.where(np.isnan(value), np.nan, 1))
    for i, j in reversed(list(np.ndindex(rows, columns))):
        for step, (down, right) in enumerate(BEFORE):
            if i >= down and j >= right:
                passed[..., i - down, j - right] += passed[..., i, j] * shares_before[..., i, j, step]
    return passed
