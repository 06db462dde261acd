r"""Soft masks from relevance: the more relevant, the more is hidden.

To make a model look beyond the obvious regions, weaken each position according to how much attention it gets already.
Used as features or, equivalently for attention, as a bias of log m: weights proportional to $m\, e^s$.
"""

import numpy as np

from ..contract import reference
from ..visibility import Reals


@reference
def soft_mask(relevance: Reals, *, floor: float = 0.0) -> Reals:
    r"""Return a factor for each position: 1 for the least relevant, `floor` for the most.

    $$m_j = \max\Bigl(\mathrm{floor},\; 1 - \frac{r_j - \min r}{\max r - \min r}\Bigr)$$

    Parameters
    ----------
    relevance : (..., n) real array
        In any unit.
    floor : float, default 0
        Between 0 and 1: the smallest factor.

    Returns
    -------
    (..., n) array
        Between `floor` and 1; all 1 where the relevance is constant.

    Raises
    ------
    ValueError, TypeError
        If `floor` lies outside 0 to 1.

    Notes
    -----
    Cost: O(n). Stretching and shifting the relevance changes nothing. Our reading of the paper's rule.

    References
    ----------
    Park & Han, "Multi-Modal Representation Learning with Text-Driven Soft Masks", 2023, arXiv 2304.00719.

    Examples
    --------
    >>> import numpy as np
    >>> soft_mask(np.array([1.0, 2.0, 5.0]), floor=0.1)
    array([1.  , 0.75, 0.1 ])
    """
    if relevance.shape[-1] == 0:
        return relevance
    least = relevance.min(axis=-1, keepdims=True)
    span = relevance.max(axis=-1, keepdims=True) - least
    return np.maximum(floor, 1 - (relevance - least) / np.where(span == 0, 1, span))
