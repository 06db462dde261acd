r"""Split softmax: giving a subset of the keys more of the mass.

Split the keys into a subset and the rest, with the mass $\pi$ and $1 - \pi$. Raising $\pi$ to a power below 1 gives the
subset more without touching the proportions inside either part: a softmax that is split in two and put together again.
"""

import numpy as np

from ..contract import reference
from ..visibility import Booleans, Reals


@reference
def split_softmax(weights: Reals, *, subset: Booleans, exponent: float) -> Reals:
    r"""Change the mass of a subset of the keys from $\pi$ to $\pi^\tau$.

    $$w'_j = w_j\, \pi^{\tau - 1}\ (j \in \mathrm{subset}), \qquad
      w'_j = w_j\, \frac{1 - \pi^\tau}{1 - \pi}\ (\text{else}), \qquad
      \pi = \sum_{j \in \mathrm{subset}} w_j$$

    Parameters
    ----------
    weights : (..., n) real array
        Rows that sum to 1.
    subset : (..., n) boolean array
        True = in the subset.
    exponent : float
        $\tau$, above 0; below 1 the subset gains.

    Returns
    -------
    (..., n) array
        Rows sum to 1. Rows with $\pi$ = 0 or 1 are left as they are.

    Raises
    ------
    ValueError, TypeError
        If `exponent` is not above 0 or `subset` is not boolean.

    Notes
    -----
    Cost: O(size). Exponent 1 is the identity.

    References
    ----------
    Li et al., "Measuring and Controlling Instruction (In)Stability in Language Model Dialogs", 2024,
    arXiv 2402.10962. Zhu et al., "Focus Directions", 2025, arXiv 2503.23306.

    Examples
    --------
    >>> import numpy as np
    >>> split_softmax(np.array([0.25, 0.25, 0.5]), subset=np.array([True, False, False]), exponent=0.5).round(3)
    array([0.5  , 0.167, 0.333])
    """
    mass = np.where(subset, weights, 0).sum(axis=-1, keepdims=True)  # pi, (..., 1)
    split = (mass > 0) & (mass < 1)
    inside = np.where(split, mass, 1) ** (exponent - 1)
    outside = (1 - mass**exponent) / np.where(split, 1 - mass, 1)
    return np.where(split, weights * np.where(subset, inside, outside), weights)
