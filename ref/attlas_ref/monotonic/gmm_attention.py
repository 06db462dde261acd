r"""Mixtures that move forward: Graves' window and its successors.

The first attention of all did not compare anything. Graves' network wrote by hand: to know which letter comes next, it
laid a soft window over the text, a mixture of K bells, and moved each bell a little further to the right at every step.
It can neither jump nor go back, since a step is positive by construction, and a text ten times as long is read as
well as a short one.

A hidden layer of the query gives three numbers for each component k, and from them come its weight $\omega$, its step
$\Delta$ and its width $\sigma$:

$$(\hat\omega, \hat\Delta, \hat\sigma) = \tanh(q_i W + b) W' + b', \qquad \mu_i = \mu_{i-1} + \Delta_i, \qquad
  \alpha_{ij} = \sum_k \frac{\omega_k}{Z_k} \exp\Bigl(-\frac{(j - \mu_k)^2}{2 \sigma_k^2}\Bigr),$$

with W = `w_hidden`, W' = `w_params`, whose columns are the K weights, the K steps and the K widths. The versions differ
in how numbers are made positive, and in the normalizer Z:

| version | $\omega$ | $\Delta$ | $\sigma$ | Z |
| --- | --- | --- | --- | --- |
| 0 (Graves) | $e^{\hat\omega}$ | $e^{\hat\Delta}$ | $\sqrt{e^{-\hat\sigma} / 2}$ | 1 |
| 1 | softmax | $e^{\hat\Delta}$ | $\sqrt{e^{\hat\sigma}}$ | $\sqrt{2 \pi \sigma^2}$ |
| 2 | softmax | softplus | softplus | $\sqrt{2 \pi \sigma^2}$ |

**The steps do not depend on the weights.** $\mu$ is a cumulative sum over the queries, so that all rows are computed at
once. It is the one attention of this kind that needs no scan.

**What to watch for.** Rows are not normalized. In versions 1 and 2 a row sums to nearly 1 while the bells are at least
one key wide and lie within the keys; past the end nothing is left. A narrow bell at a whole number exceeds 1, since a
density is no probability: $\sigma = 0.1$ gives 4. `sigma_floor` keeps bells wide, `normalize` divides by the sum of the
row. Version "2b" of the paper is version 2 with such `b_params` that $\Delta$ is near 1 and $\sigma$ near 10 at first.

**A variant with logistic distributions**, found in public code and not in the paper, integrates over each key instead
of taking the density at it, with the mixture's distribution function F:

$$F(x) = \sum_k g_k\, \sigma\bigl((x - \mu_k) / s_k\bigr), \qquad \alpha_{ij} = F(j + 1.5) - F(j + 0.5).$$
"""

from typing import Any

import numpy as np
from scipy.special import expit

from ..contract import reference, with_extras
from ..log_space import shares
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum

LOGISTIC_FLOOR = 1e-5
"""What the public code adds to weights and widths of the logistic variant."""
LOGISTIC_LEAST = 1e-8
"""What the public code puts in place of weights that are exactly 0."""


@reference
def gmm_attention(
    query: Reals,
    value: Reals,
    *,
    w_hidden: Reals,
    b_hidden: Reals,
    w_params: Reals,
    b_params: Reals,
    version: int | str = 2,
    sigma_floor: float = 0.0,
    initial_mean: Reals | None = None,
    mask: Booleans | None = None,
    normalize: bool = False,
    return_weights: bool = False,
    return_means: bool = False,
) -> Any:
    r"""Attention by a mixture whose components move forward (GMM attention).

    $$\mathrm{out}_i = \sum_j \alpha_{ij} v_j, \qquad
      \alpha_{ij} = \sum_k \frac{\omega_{ik}}{Z_{ik}} \exp\Bigl(-\frac{(j - \mu_{ik})^2}{2 \sigma_{ik}^2}\Bigr), \qquad
      \mu_i = \mu_{i-1} + \Delta_i$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per step.
    value : (..., n, e) real array
        One row per key; key j stands at place j, counted from 0.
    w_hidden, b_hidden : (d, a), (a,) real arrays
        The hidden layer: tanh, or relu in the logistic version.
    w_params, b_params : (a, 3K), (3K,) real arrays
        From the hidden layer to K weights, K steps and K widths. The logistic version has weights, widths, steps.
    version : {0, 1, 2, "logistic"}, default 2
        How the parameters are made positive; see the table.
    sigma_floor : float, default 0
        At least 0; added to the widths, in keys. Not in the logistic version.
    initial_mean : (..., K) real array, optional
        Where the components stand before the first step, in keys; 0 if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    normalize : bool, default False
        Divide each row by its sum.
    return_weights : bool, default False
        Return the weights too.
    return_means : bool, default False
        Return where the components stand; the last row is the `initial_mean` with which a stream goes on.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a step that sees no key.
    weights : (..., m, n) array
        With `return_weights` only: at least 0; rows need not sum to 1.
    means : (..., m, K) array
        With `return_means` only: they never decrease.

    Raises
    ------
    ValueError
        If shapes disagree, 3 does not divide the columns of `w_params`, `sigma_floor` is negative or `version` unknown.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: m (d a + 3 a K) multiplications, m n K exponentials, m n e multiplications; everything at once. The gradient
    of the means is summed backward over the steps.

    Neighbors: `dynamic_convolution_attention` is the other location-relative mechanism of the paper,
    `monotonic_location_attention` moves one bell over places that are scaled to the length of the keys.

    References
    ----------
    Battenberg et al., "Location-Relative Attention Mechanisms for Robust Long-Form Speech Synthesis", 2020,
    arXiv 1910.10288, table 1. Graves, "Generating Sequences With Recurrent Neural Networks", 2013, arXiv 1308.0850.

    Examples
    --------
    One bell that moves on by a key and a half at every step, whatever the queries hold:

    >>> import numpy as np
    >>> step, width = np.log(1.5), np.log(0.25)
    >>> learned = {"w_hidden": np.zeros((1, 1)), "b_hidden": np.zeros(1), "w_params": np.zeros((1, 3))}
    >>> _, weights, means = gmm_attention(
    ...     np.zeros((3, 1)),
    ...     np.zeros((6, 1)),
    ...     b_params=np.array([0.0, step, width]),
    ...     version=1,
    ...     return_weights=True,
    ...     return_means=True,
    ...     **learned,
    ... )
    >>> means.T
    array([[1.5, 3. , 4.5]])
    >>> weights.round(2)
    array([[0.01, 0.48, 0.48, 0.01, 0.  , 0.  ],
           [0.  , 0.  , 0.11, 0.8 , 0.11, 0.  ],
           [0.  , 0.  , 0.  , 0.01, 0.48, 0.48]])
    """
    visible = visible_pairs(query, value, mask, causal=False)  # (..., m, n)
    hidden = query @ w_hidden + b_hidden  # (..., m, a)
    hidden = np.maximum(hidden, 0) if version == "logistic" else np.tanh(hidden)
    first, second, third = np.split(hidden @ w_params + b_params, 3, axis=-1)  # (..., m, K)
    if version == "logistic":
        share, width, step = shares(first) + LOGISTIC_FLOOR, _softplus(second) + LOGISTIC_FLOOR, _softplus(third)
    elif version == 0:
        share, step, width = np.exp(first), np.exp(second), np.sqrt(np.exp(-third) / 2) + sigma_floor
    elif version == 1:
        share, step, width = shares(first), np.exp(second), np.sqrt(np.exp(third)) + sigma_floor
    else:
        share, step, width = shares(first), _softplus(second), _softplus(third) + sigma_floor

    means = np.cumsum(step, axis=-2)  # (..., m, K)
    means = means if initial_mean is None else initial_mean[..., None, :] + means
    offset = np.arange(value.shape[-2])[:, None].astype(query.dtype) - means[..., None, :]  # (..., m, n, K)
    share, width = share[..., None, :], width[..., None, :]
    if version == "logistic":
        weights = _below(offset + 1.5, share, width) - _below(offset + 0.5, share, width)  # (..., m, n)
        weights = np.where(weights == 0, LOGISTIC_LEAST, weights)
    else:
        peak = share if version == 0 else share / np.sqrt(2 * np.pi * width**2)
        weights = (peak * np.exp(-(offset**2) / (2 * width**2))).sum(axis=-1)
    weights = np.where(visible, weights, 0)
    if normalize:
        total = weights.sum(axis=-1, keepdims=True)
        weights = np.where(visible, weights / np.where(total == 0, 1, total), 0)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return with_extras(
        output,
        weights=weights if return_weights else None,
        means=means if return_means else None,
    )


def _softplus(x: Reals) -> Reals:
    return np.asanyarray(np.logaddexp(0, x))


def _below(offset: Reals, share: Reals, width: Reals) -> Reals:
    """Return how much of a mixture of logistic distributions lies below each place."""
    return np.asanyarray((share * expit(offset / width)).sum(axis=-1))
