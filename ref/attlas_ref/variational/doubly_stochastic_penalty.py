r"""Doubly stochastic attention: every region should be looked at once.

A softmax makes each row of the weights sum to 1: every word looks somewhere. Nothing makes the columns sum to anything,
and a model may write a whole caption without ever looking at half of the image. *Show, Attend and Tell* adds a penalty
that grows with the distance of the column sums from 1,

$$\sum_i \Bigl(1 - \sum_t \alpha_{ti}\Bigr)^2 ,$$

times a factor $\lambda$, which is the caller's. A matrix with all rows and all columns summing to 1 is doubly
stochastic, hence the name; it exists for as many words as regions alone, and with T words and L regions a target of T /
L is the even share.
"""

import numpy as np

from ..contract import reference
from ..visibility import Booleans, Reals


@reference
def doubly_stochastic_penalty(weights: Reals, *, target: float = 1.0, mask: Booleans | None = None) -> Reals:
    r"""Squared distance of the column sums of attention weights from a target.

    $$\sum_{i \in V} \Bigl(\mathrm{target} - \sum_t \alpha_{ti}\Bigr)^2$$

    Parameters
    ----------
    weights : (..., T, L) real array
        $\alpha$: one row per word, one column per region.
    target : float, default 1
        What every region should get in all.
    mask : (..., L) boolean array, optional
        False = the region is padding and is not asked for.

    Returns
    -------
    (...) array
        0 iff every visible column sums to the target.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree, `weights` is not real, or `mask` is not boolean.

    Notes
    -----
    Cost: T L additions. Gradient: $-2(\mathrm{target} - \sum_t \alpha_{ti})$ for every t.

    The weights are those of `show_attend_attention`.

    References
    ----------
    Xu et al., "Show, Attend and Tell: Neural Image Caption Generation with Visual Attention", 2015, arXiv 1502.03044,
    section 4.2.1.

    Examples
    --------
    Three words that all look at the first region, and three that share the image:

    >>> import numpy as np
    >>> float(doubly_stochastic_penalty(np.array([[1.0, 0, 0]] * 3)))
    6.0
    >>> float(doubly_stochastic_penalty(np.eye(3)[[2, 0, 1]]))
    0.0
    """
    missing = target - weights.sum(axis=-2)  # (..., L)
    return np.where(True if mask is None else mask, missing**2, 0).sum(axis=-1)
