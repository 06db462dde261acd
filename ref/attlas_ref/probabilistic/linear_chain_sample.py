r"""Exact samples from a chain: filter forward, sample backward.

A labeling can be drawn from $p(z) \propto e^{\mathrm{score}(z)}$ (`linear_chain_marginals`) without listing all of them
and without rejecting any. The forward recursion gives $\alpha$; it knows how likely each last label is, and given a
label how likely each label before it:

$$p(z_n = a) \propto e^{\alpha_n(a)}, \qquad p(z_t = a \mid z_{t+1}) \propto e^{\alpha_t(a) + P_t(a, z_{t+1})}.$$

So one label is drawn after the other, from the end to the start. The randomness is handed in, one number of `uniform`
per position: label $a$ is the number of labels whose cumulative probability is at most that number.
"""

from typing import Any

import numpy as np

from ..contract import reference
from ..log_space import inverse_cdf, shares
from ..visibility import Booleans, Reals
from .chains import steps_of
from .linear_chain_marginals import forward


@reference
def linear_chain_sample(unary: Reals, pairwise: Reals, *, uniform: Reals, mask: Booleans | None = None) -> Reals:
    r"""Draw a labeling of a chain, each with its probability.

    $$z_n \sim \mathrm{softmax}(\alpha_n), \qquad z_t \sim \mathrm{softmax}_a\bigl(\alpha_t(a) + P_t(a, z_{t+1})\bigr)$$

    Parameters
    ----------
    unary : (..., n, c) real array
        Score of each label at each position; -inf forbids it.
    pairwise : (..., n-1, c, c) real array, or (c, c) for all steps alike
        Score of a label (row) and the next one (column).
    uniform : (..., n) real array
        Draws in [0, 1), one per position; its leading axes may be more than those of the scores: many samples.
    mask : (..., n) boolean array, optional
        True up to the length of a chain, then False.

    Returns
    -------
    path : (..., n) integer array
        The labels; -1 past the length, and everywhere if no labeling is possible.

    Raises
    ------
    ValueError
        As `linear_chain_marginals`; if `uniform` leaves [0, 1).
    TypeError
        As `linear_chain_marginals`.

    Notes
    -----
    Cost: (n - 1) c² for the forward pass, n c per sample.

    The shares of labels and pairs among many samples tend to the marginals of `linear_chain_marginals`. There are no
    gradients.

    References
    ----------
    Kim, Denton, Hoang & Rush, "Structured Attention Networks", 2017, arXiv 1702.00887; forward filtering, backward
    sampling is standard.

    Examples
    --------
    >>> import numpy as np
    >>> draws = np.random.default_rng(0).random((4, 12))
    >>> print(linear_chain_sample(np.zeros((12, 2)), 2.0 * np.eye(2), uniform=draws))
    [[0 0 0 0 1 1 1 1 1 1 0 0]
     [0 0 0 0 0 0 0 0 0 1 1 1]
     [1 1 1 1 0 0 0 0 0 0 0 0]
     [1 1 1 1 1 1 1 1 1 1 1 1]]
    """
    unary, pairwise, visible = steps_of(unary, pairwise, mask)
    n = unary.shape[-2]
    alpha, log_partition = forward(unary, pairwise, visible)
    possible = log_partition != -np.inf

    batch = np.broadcast_shapes(uniform.shape[:-1], unary.shape[:-2])
    path = np.full((*batch, n), -1)
    label: Any = None
    for t in range(n - 1, -1, -1):
        weight = alpha[..., t, :]
        if label is not None:
            step = np.broadcast_to(pairwise[..., t, :, :], (*batch, *pairwise.shape[-2:]))
            chosen = np.take_along_axis(step, label[..., None, None], axis=-1)[..., 0]  # (..., c)
            # The last label has none after it.
            weight = weight + np.where(visible[..., t + 1, None], chosen, 0)
        label = np.broadcast_to(inverse_cdf(shares(weight), uniform[..., t, None]), batch)
        path[..., t] = np.where(visible[..., t] & possible, label, -1)
    return path
