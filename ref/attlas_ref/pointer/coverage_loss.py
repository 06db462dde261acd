r"""The price of looking twice.

A coverage vector in the score (`coverage_attention`) lets a network see where it has been; it does not make it care.
The coverage loss does: at each step it charges, for every source position, the smaller of the weight that it gets now
and of all weights that it has had before,

$$\sum_i \sum_j \min(a_{ij}, c_{ij}), \qquad c_{ij} = c_{0j} + \sum_{i' < i} a_{i'j} .$$

A position that is new costs nothing, and neither does leaving an old one alone. Since the minimum is at most the weight
and the weights of a step sum to 1, a step costs at most 1. Unlike the coverage losses of machine translation it does
not ask that everything be read once: a summary may leave out.
"""

import numpy as np

from ..contract import reference
from ..visibility import Reals


@reference
def coverage_loss(weights: Reals, *, initial: float | Reals = 0.0) -> Reals:
    r"""Return how much attention falls on what has been attended to before.

    $$\sum_i \sum_j \min\Bigl(a_{ij},\; c_{0j} + \sum_{i' < i} a_{i'j}\Bigr)$$

    Parameters
    ----------
    weights : (..., m, n) real array
        a: one row per step, in the order of time; at least 0.
    initial : float or (..., n) real array, default 0
        $c_0$: the coverage before the first step, at least 0.

    Returns
    -------
    (...) array
        Between 0 and m for rows that sum to 1; 0 if no position is attended to twice.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree, an array is not real, or `initial` is negative.

    Notes
    -----
    Cost: 2 m n operations. Gradients: of each minimum, 1 to the weight where it is the smaller one, else 1 to all that
    the coverage is the sum of.

    `doubly_stochastic_penalty` asks that every position be attended to in all as much as a target.

    References
    ----------
    See, Liu & Manning, "Get To The Point: Summarization with Pointer-Generator Networks", 2017, arXiv 1704.04368,
    eq. (12).

    Examples
    --------
    A reading that goes on costs nothing. One that stays pays 1 for each step after the first:

    >>> import numpy as np
    >>> float(coverage_loss(np.eye(3))), float(coverage_loss(np.array([[1.0, 0.0, 0.0]] * 3)))
    (0.0, 2.0)
    """
    none = np.zeros_like(weights[..., :1, :])
    so_far = np.concatenate([none, np.cumsum(weights, axis=-2)[..., :-1, :]], axis=-2)  # of the steps before
    coverage = np.broadcast_to(initial, weights.shape[-1:] if np.ndim(initial) == 0 else np.shape(initial))
    return np.minimum(weights, coverage[..., None, :] + so_far).sum(axis=(-2, -1))
