r"""Attention weights that are themselves random: a Dirichlet distribution over the simplex.

A hard alignment is a corner of the simplex of weights, soft attention is one point inside of it. A *relaxed* alignment
is any point, drawn from a distribution over the whole simplex; the Dirichlet is the one at hand. Its concentrations
$a_j > 0$ (from scores by exp or softplus, which is the caller's) say two things at once: the shares $a_j / a_0$, with
$a_0 = \sum_j a_j$, are the mean weights, and the total $a_0$ says how close a draw comes to them. Far below 1 the draws
sit near the corners, far above n they all lie at the mean.

A draw is made from independent gamma variates $\gamma_j \sim \mathrm{Gamma}(a_j, 1)$, which are handed in, by dividing
them by their sum.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum


@reference
def dirichlet_attention(
    concentration: Reals,
    value: Reals,
    *,
    gamma: Reals | None = None,
    mask: Booleans | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention with the mean weights of a Dirichlet distribution, or with a draw from it.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad w_{ij} = \frac{a_{ij}}{\sum_{l \in V(i)} a_{il}}
      \quad\text{or}\quad w_{ij} = \frac{\gamma_{ij}}{\sum_{l \in V(i)} \gamma_{il}}$$

    Parameters
    ----------
    concentration : (..., m, n) real array
        $a_{ij}$, above 0.
    value : (..., n, e) real array
        One row per key.
    gamma : (..., m, n) real array, optional
        $\gamma_{ij}$, at least 0: variates of Gamma($a_{ij}$, 1). If not given the weights are the mean.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query that sees no key.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is visible or all variates are 0.

    Raises
    ------
    ValueError
        If shapes disagree, a visible concentration is not above 0, or a visible variate is below 0.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: m n e multiplications. Gradient of the mean: $da_{ij} = (dw_{ij} - \sum_l w_{il}\, dw_{il}) / a_{i0}$.

    With concentrations $e^{s}$ the mean is `softmax_attention`. `dirichlet_kl` is the divergence of a posterior over
    alignments from a prior.

    References
    ----------
    Deng, Kim, Chiu, Guo & Rush, "Latent Alignment and Variational Attention", 2018, arXiv 1807.03756.

    Examples
    --------
    The same mean, with a total of 0.2 and of 2,000: the draws are near a corner, or near the mean.

    >>> import numpy as np
    >>> rng, share = np.random.default_rng(2), np.array([[0.5, 0.3, 0.2]])
    >>> dirichlet_attention(7 * share, np.eye(3))
    array([[0.5, 0.3, 0.2]])
    >>> for total in (0.2, 2000):
    ...     print(dirichlet_attention(total * share, np.eye(3), gamma=rng.gamma(total * share)).round(2))
    [[0. 1. 0.]]
    [[0.49 0.3  0.21]]
    """
    visible = visible_pairs(concentration, value, mask, causal=False)
    masses = np.where(visible, concentration if gamma is None else gamma, 0)  # (..., m, n)
    total = masses.sum(axis=-1, keepdims=True)
    # A visible NaN makes the total NaN; the hidden weights of that row stay 0.
    weights = np.where(visible, masses / np.where(total == 0, 1, total), 0)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
