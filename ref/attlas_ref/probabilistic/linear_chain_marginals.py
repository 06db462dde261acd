r"""Forward–backward: how often each label occurs among all labelings of a chain.

Softmax attention asks of each position by itself how much it matters. A chain asks of all of them together: every
position $t$ has a label $z_t$ out of $c$, neighbors may like or dislike each other's labels, and a whole labeling has
the score

$$\mathrm{score}(z) = \sum_t u_t(z_t) + \sum_t P_t(z_t, z_{t+1}), \qquad p(z) = e^{\mathrm{score}(z)} / Z,$$

with $u$ = `unary` and $P$ = `pairwise`. There are $c^n$ labelings, but the sum over all of them can be carried from
left to right. With $\alpha_t(b)$ the logarithm of what all beginnings that end in label $b$ weigh together, and
$\beta_t(a)$ that of all continuations of label $a$,

$$\alpha_{t+1}(b) = u_{t+1}(b) + \log \sum_a e^{\alpha_t(a) + P_t(a, b)}, \qquad
  \beta_t(a) = \log \sum_b e^{P_t(a, b) + u_{t+1}(b) + \beta_{t+1}(b)},$$

$\alpha_1 = u_1$, $\beta_n = 0$, $\log Z = \log \sum_b e^{\alpha_n(b)}$. The probability of label $a$ at $t$ is
$e^{\alpha_t(a) + \beta_t(a)} / Z$, that of a pair of neighbors
$e^{\alpha_t(a) + P_t(a, b) + u_{t+1}(b) + \beta_{t+1}(b)} / Z$. Both are the derivatives of $\log Z$ by the scores.

**Numerics.** Along 10,000 positions $\alpha$ grows into the millions, and few digits are left for the differences
between labels, which alone matter. So each $\alpha_t$ and $\beta_t$ is shifted to sum to 1 (as $\sum e^{\alpha}$), the
shifts of $\alpha$ are collected in $\log Z$, and marginals are normalized at their position, where every constant drops
out.

**Where chains are of different lengths** in one batch, `mask` says for each how far it goes. What stands behind its end
takes no part.
"""

import numpy as np

from ..contract import ChainMarginals, reference
from ..log_space import finite_or_zero, log_sum_exp, shares
from ..visibility import Booleans, Reals
from .chains import steps_of


@reference
def linear_chain_marginals(unary: Reals, pairwise: Reals, *, mask: Booleans | None = None) -> ChainMarginals:
    r"""Sum over all labelings of a chain: their log partition function and the marginals of labels and pairs.

    $$p(z) = \frac1Z \exp\Bigl(\sum_t u_t(z_t) + \sum_t P_t(z_t, z_{t+1})\Bigr)$$

    Parameters
    ----------
    unary : (..., n, c) real array
        Score of each label at each position; -inf forbids it.
    pairwise : (..., n-1, c, c) real array, or (c, c) for all steps alike
        Score of a label (row) and the next one (column).
    mask : (..., n) boolean array, optional
        True up to the length of a chain, then False.

    Returns
    -------
    log_partition : (...) array
        log Z: -inf if no labeling is possible, 0 for a chain of length 0.
    marginals : (..., n, c) array
        The probability of each label; rows sum to 1, and are 0 past the length and where nothing is possible.
    pairwise_marginals : (..., n-1, c, c) array
        The probability of each pair of neighboring labels.

    Raises
    ------
    ValueError
        If shapes disagree, c is 0 or `mask` is no prefix.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: 2 (n - 1) c² exponentials and as many logarithms' sums, in n steps; a scan over products of (c, c) matrices in
    the log semiring does it in O(log n) steps with c times the work.

    With `pairwise=0` each position is a softmax by itself. `linear_chain_argmax` is the best labeling,
    `linear_chain_sample` draws one, `segmentation_attention` reads with two labels, `semi_markov_marginals` lets a
    label last, `skip_chain_crf` adds longer arcs. Gradients: of the log partition function the marginals.

    References
    ----------
    Kim, Denton, Hoang & Rush, "Structured Attention Networks", 2017, arXiv 1702.00887.
    Chen et al., "Dialogue Act Recognition via CRF-Attentive Structured Network", 2017, arXiv 1711.05568.

    Examples
    --------
    Two labels, and a liking for the same one again. The first position is sure; it convinces the others, less and less:

    >>> import numpy as np
    >>> unary = np.array([[4.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    >>> linear_chain_marginals(unary, 1.5 * np.eye(2)).marginals.round(2)
    array([[0.98, 0.02],
           [0.81, 0.19],
           [0.69, 0.31],
           [0.62, 0.38]])
    """
    unary, pairwise, visible = steps_of(unary, pairwise, mask)
    alpha, log_partition = forward(unary, pairwise, visible)  # (..., n, c), (...)
    beta = _backward(unary, pairwise, visible)  # (..., n, c)

    marginals = shares(alpha + beta)
    follows = (unary + beta)[..., 1:, None, :]  # (..., n-1, 1, c)
    pairs = shares(alpha[..., :-1, :, None] + pairwise + follows, axis=(-2, -1))
    return ChainMarginals(
        log_partition,
        np.where(visible[..., None], marginals, 0),
        np.where(visible[..., 1:, None, None], pairs, 0),
    )


def forward(unary: Reals, pairwise: Reals, visible: Booleans) -> tuple[Reals, Reals]:
    r"""Return $\alpha$, shifted to $\sum_a e^{\alpha_t(a)} = 1$, (..., n, c), and $\log Z$, (...).

    Past the length of a chain $\alpha$ stays as it was at the end.
    """
    alphas, totals = [], []
    alpha = np.zeros((*unary.shape[:-2], unary.shape[-1]), dtype=unary.dtype)
    for t in range(unary.shape[-2]):
        reached = log_sum_exp(alpha[..., :, None] + pairwise[..., t - 1, :, :], axis=-2) if t else alpha
        weight = reached + unary[..., t, :]
        total = log_sum_exp(weight, keepdims=True)
        alpha = np.where(visible[..., t, None], weight - finite_or_zero(total), alpha)
        totals.append(total)
        alphas.append(alpha)
    if not alphas:
        return unary, np.zeros(unary.shape[:-2], dtype=unary.dtype)
    return np.stack(alphas, axis=-2), np.where(visible, np.concatenate(totals, axis=-1), 0).sum(axis=-1)


def _backward(unary: Reals, pairwise: Reals, visible: Booleans) -> Reals:
    r"""Return $\beta$, each up to a constant, (..., n, c): 0 at the last position and past it."""
    beta = np.zeros((*unary.shape[:-2], unary.shape[-1]), dtype=unary.dtype)
    betas = [beta]
    for t in range(unary.shape[-2] - 2, -1, -1):
        ahead = unary[..., t + 1, :] + beta
        weight = log_sum_exp(pairwise[..., t, :, :] + ahead[..., None, :], axis=-1)
        weight = weight - finite_or_zero(log_sum_exp(weight, keepdims=True))
        beta = np.where(visible[..., t + 1, None], weight, beta)
        betas.append(beta)
    return np.stack(betas[::-1], axis=-2) if unary.shape[-2] else unary
