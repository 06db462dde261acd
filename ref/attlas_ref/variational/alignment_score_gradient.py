r"""The gradient of an expected reward: exactly, or by trying alignments and seeing how they do.

A model draws an alignment z from $q = \mathrm{softmax}(s)$ and receives a reward $r_z$, say the log likelihood of the
right word. How should the scores change? The expected reward $\sum_z q_z r_z$ has the gradient

$$g_j = q_j \Bigl(r_j - \sum_z q_z r_z\Bigr) :$$

raise what does better than average. It needs the reward of every z. REINFORCE needs those of the drawn ones alone,
since the same gradient is an expectation under q,

$$g_j = \mathbb E_z\bigl[(r_z - b)\, \partial_j \log q_z\bigr], \qquad \partial_j \log q_z = [z = j] - q_j ,$$

for **any** constant b, because the score $\partial \log q$ has the mean 0. The *baseline* b leaves the mean alone and
changes the scatter around it, which is least for $b = \mathbb E[r\,|\partial \log q|^2] / \mathbb E[|\partial \log
q|^2]$; the usual choices come near it: a running mean of past rewards, or the reward of the soft or of the best
alignment (self-critical).

An entropy bonus $\lambda H(q)$ keeps q from committing itself too early: $\partial H / \partial s_j = -q_j (\log q_j +
H)$.

The rule of *Show, Attend and Tell* has all of it: $b \leftarrow 0.9\, b + 0.1 \log p(y \mid \hat s)$ from batch to
batch, $\lambda > 0$, and with probability one half the exact soft alignment in place of the drawn one. The coin and the
running mean belong to the caller; this function is the gradient.
"""

import numpy as np

from ..contract import reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals


@reference
def alignment_score_gradient(
    logits: Reals,
    rewards: Reals,
    *,
    samples: Reals | None = None,
    baseline: float | Reals = 0.0,
    entropy_weight: float = 0.0,
    mask: Booleans | None = None,
) -> Reals:
    r"""Gradient of the expected reward with respect to the logits of the alignment.

    $$g_j = q_j \Bigl(r_j - \sum_z q_z r_z\Bigr) \quad\text{or}\quad
      g_j = \frac1K \sum_{k=1}^K (r_k - b)\bigl([z_k = j] - q_j\bigr), \qquad q = \mathrm{softmax}(s),$$

    and in both cases $-\lambda\, q_j (\log q_j + H(q))$ on top.

    Parameters
    ----------
    logits : (..., n) real array
        s, one per place.
    rewards : (..., n) or (..., K) real array
        $r_z$ of every place; with `samples` $r_k$ of every sample.
    samples : (..., K) integer array, optional
        $z_k$, drawn from q. If not given the gradient is exact.
    baseline : float or (...) array, default 0
        b, taken from the rewards of samples; the exact gradient does not depend on it.
    entropy_weight : float, default 0
        $\lambda$, the weight of the entropy of q in the objective.
    mask : (..., n) boolean array, optional
        False = q is 0 there, and so is the gradient; a sample that is hidden takes no part.

    Returns
    -------
    (..., n) array
        Sums to 0: logits matter up to a constant.

    Raises
    ------
    ValueError
        If shapes disagree, a sample is out of range, or `rewards` has not one entry per sample, or per place.
    TypeError
        If an array is complex, an object or text, or `samples` are not whole numbers.

    Notes
    -----
    Cost: O(n + K).

    With the rewards $L + \log p - \log q$ it is the gradient of the `elbo` of `latent_alignment_bounds`.
    `hard_attention` draws the samples.

    References
    ----------
    Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning", 1992.
    Xu et al., "Show, Attend and Tell: Neural Image Caption Generation with Visual Attention", 2015, arXiv 1502.03044.
    Deng, Kim, Chiu, Guo & Rush, "Latent Alignment and Variational Attention", 2018, arXiv 1807.03756.

    Examples
    --------
    The estimates of single samples scatter, with a baseline much less; their mean under q is the exact gradient:

    >>> import numpy as np
    >>> logits, rewards = np.log([0.5, 0.3, 0.2]), np.array([-1.0, -2.0, -4.0])
    >>> alignment_score_gradient(logits, rewards).round(3)
    array([ 0.45, -0.03, -0.42])
    >>> for baseline in (0.0, -1.9):
    ...     each = alignment_score_gradient(
    ...         np.tile(logits, (3, 1)), rewards[:, None], samples=[[0], [1], [2]], baseline=baseline
    ...     )
    ...     print(each.round(2).tolist(), (np.exp(logits) @ each).round(3))
    [[-0.5, 0.3, 0.2], [1.0, -1.4, 0.4], [2.0, 1.2, -3.2]] [ 0.45 -0.03 -0.42]
    [[0.45, -0.27, -0.18], [0.05, -0.07, 0.02], [1.05, 0.63, -1.68]] [ 0.45 -0.03 -0.42]
    """
    visible = np.ones(logits.shape, dtype=bool) & (True if mask is None else mask)
    q = softmax_weights(logits, visible)  # (..., n)
    if samples is None:
        mean = np.where(visible, q * rewards, 0).sum(axis=-1, keepdims=True)  # (..., 1)
        gradient = q * (rewards - mean)
    else:
        places = np.arange(q.shape[-1])
        drawn = np.asarray(samples)[..., None] == places  # (..., K, n)
        counts = (drawn & visible[..., None, :]).any(axis=-1)  # (..., K)
        advantage = np.where(counts, rewards - np.asarray(baseline)[..., None], 0)
        total = (advantage[..., None] * (drawn - q[..., None, :])).sum(axis=-2)
        gradient = total / np.maximum(counts.sum(axis=-1), 1).astype(q.dtype)[..., None]

    if entropy_weight:
        log_q = np.log(np.where(q == 0, 1, q))  # 0 log 0 = 0
        entropy = -(q * log_q).sum(axis=-1, keepdims=True)
        gradient = gradient - entropy_weight * q * (log_q + entropy)
    return np.where(visible, gradient, 0)
