r"""The energy whose slope is attention.

The normalizer of a softmax is a partition function. Its logarithm, with a minus sign and in units of the temperature,
is an energy: low where a query has a key to its liking. Attention is the (negative) gradient of this energy, which is
what makes a Hopfield network out of an attention layer.

$$E(q) = -T \log \sum_j e^{s_j(q)/T}, \qquad -\frac{\partial E}{\partial q} = \mathrm{scale} \sum_j w_j k_j .$$

The sum is shifted by its largest term, $\log \sum_j e^{s_j} = M + \log \sum_j e^{s_j - M}$, so that nothing overflows.
"""

import numpy as np

from ..contract import reference
from ..visibility import Booleans, Reals, dot_scores, visible_pairs


@reference
def attention_energy(
    query: Reals,
    key: Reals,
    *,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    temperature: float = 1.0,
) -> Reals:
    r"""Log-sum-exp energy of each query: minus the free energy of its scores.

    $$E_i = -T \log \sum_{j \in V(i)} e^{s_{ij}/T}, \qquad
      s_{ij} = \mathrm{scale}\,\langle q_i, k_j\rangle + \mathrm{bias}_{ij}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    bias : (..., m, n) real array, optional
        Added to the scaled scores.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.
    temperature : float, default 1
        T, above 0, in the unit of the scores.

    Returns
    -------
    (..., m) array
        In the unit of the scores; $+\infty$ for a query that sees no key.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`.

    Notes
    -----
    Cost: m n d multiplications; O(m) extra memory in an engine.

    As $T \to 0$ it becomes minus the largest score. `attention_partial` gives the same number as $-(M + \log S)$.
    The energy of a Hopfield network adds a term that keeps the state finite.

    References
    ----------
    Ramsauer et al., "Hopfield Networks is All You Need", 2020, arXiv 2008.02217.
    Hong, "Smoothed Energy Guidance", 2024, arXiv 2408.00760.

    Examples
    --------
    Eight keys with equal scores of 0 have the energy minus log 8:

    >>> import numpy as np
    >>> attention_energy(np.zeros((1, 2)), np.zeros((8, 2))) + np.log(8)
    array([0.])
    """
    visible = visible_pairs(query, key, mask, causal)
    scores = dot_scores(query, key, scale, bias) / temperature  # (..., m, n)
    scores = np.where(visible, scores, -np.inf)
    maximum = scores.max(axis=-1, initial=-np.inf)  # (..., m)
    shift = np.where(maximum == -np.inf, 0, maximum)
    # Hidden pairs count as exp(-inf) = 0, also in a row that a visible NaN has reached.
    total = np.where(visible, np.exp(scores - shift[..., None]), 0).sum(axis=-1)
    return -temperature * (shift + np.log(total))
