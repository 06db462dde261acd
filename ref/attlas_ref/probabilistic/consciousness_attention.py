r"""The consciousness prior: a bottleneck of a few thoughts.

Of all that a mind represents, only a handful is conscious at any moment, and what it says and plans is based on that
handful. Bengio proposed this as a prior for learned representations, in words; the equations here are a reading. A
bottleneck is an attention that lets k keys through and forgets the others, and then weighs the few by a softmax.

**Hard.** Keep the k largest scores of each query (`topk_softmax_attention`).

**Relaxed.** A choice of k keys has no gradient. Of all memberships $m_j \in [0, 1]$ with $\sum_j m_j = k$ take the one
that has the largest $\sum_j m_j s_j + \tau \sum_j H(m_j)$, with the entropy of a coin and the temperature $\tau$:

$$m_j = \sigma\big((s_j - \lambda) / \tau\big), \qquad \lambda \text{ such that } \sum_j m_j = k, \qquad
  w_j = \frac{m_j\, e^{s_j}}{\sum_l m_l\, e^{s_l}} .$$

The sum falls with $\lambda$, which is therefore found by halving an interval: with $a = \log \frac{k}{n - k}$ it lies
between $\min s - \tau a$, where every membership is at least k/n, and $\max s - \tau a$, where it is at most that. For
$\tau \to 0$ the choice is hard, for $\tau \to \infty$ all memberships are k/n, and the softmax is back.

**Exploring.** With `uniform` draws u the choice is made by the scores plus Gumbel noise, $-\log(-\log u)$, which draws
k keys without replacement in proportion to $e^s$. The weights are still those of the scores alone.

Keys that tie with the last one kept are kept too, so that the result does not depend on the order of the keys.
"""

import numpy as np
from scipy.special import expit, log_expit

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum

HALVINGS = 100
"""More than a float64 has bits, so that the interval shrinks to a number also where it began wide."""


@reference
def consciousness_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    k: int,
    temperature: float | None = None,
    uniform: Reals | None = None,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Softmax attention to about k keys of each query, chosen hard, softly or at random.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad w_{ij} \propto m_{ij}\, e^{s_{ij}}, \qquad
      m_{ij} = \sigma\big((s_{ij} - \lambda_i)/\tau\big), \quad \sum_{j \in V(i)} m_{ij} = k$$

    with $m_{ij} = [s_{ij} \ge s_{i(k)}]$ where no temperature is given, and $m_{ij} = 1$ where k or fewer are visible.

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    k : int
        At least 1: how many keys pass.
    temperature : float, optional
        $\tau$, above 0; a hard choice if not given.
    uniform : (..., m, n) real array, optional
        Draws from 0 to 1, 1 excluded, for a choice at random.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    bias : (..., m, n) real array, optional
        Added to the scaled scores.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query that sees no key.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is visible; at most k entries differ from 0
        without a temperature, unless scores tie.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, `k` is below 1, `temperature` not above 0, or a visible draw not in [0, 1).
    TypeError
        If an array is complex, an object or text, `mask` is not boolean, or `k` is not whole.

    Notes
    -----
    Cost: m n (d + e) multiplications, and a selection or 100 sweeps per row.

    Neighbors: k of at least n is `softmax_attention`; without temperature and draws it is `topk_softmax_attention`,
    and with k = 1 the value of the best key.

    References
    ----------
    Bengio, "The Consciousness Prior", 2017, arXiv 1709.08568 (in words; the equations are a reading).

    Examples
    --------
    >>> import numpy as np
    >>> key = np.array([[2.0], [1.0], [1.5], [-1.0]])
    >>> for temperature in (None, 0.5, 100.0):
    ...     print(consciousness_attention(np.array([[1.0]]), key, np.eye(4), k=2, temperature=temperature).round(3))
    [[0.622 0.    0.378 0.   ]]
    [[0.596 0.114 0.29  0.001]]
    [[0.495 0.181 0.299 0.024]]
    """
    visible = visible_pairs(query, key, mask, causal)
    scores = np.where(visible, dot_scores(query, key, scale, bias), -np.inf)  # (..., m, n)
    chosen_by = scores if uniform is None else np.where(visible, scores - np.log(-np.log(uniform)), -np.inf)
    log_membership = hard_choice(chosen_by, k) if temperature is None else soft_choice(chosen_by, k, temperature)
    # What is not chosen is hidden, so that not even a NaN among its values is felt.
    kept = visible & ~(log_membership == -np.inf)
    weights = softmax_weights(scores + log_membership, kept)
    output = weighted_sum(weights, value, kept)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output


def hard_choice(scores: Reals, k: int) -> Reals:
    r"""Return 0 for the k best of each row and $-\infty$ for the others, (..., m, n)."""
    n = scores.shape[-1]
    if k >= n:
        return np.zeros_like(scores)
    threshold = np.sort(scores, axis=-1)[..., n - k, None]  # (..., m, 1), -inf where fewer are visible
    # A row that a visible NaN has reached keeps all: the NaN is then in every weight.
    return np.where(scores < threshold, -np.inf, 0).astype(scores.dtype)


def soft_choice(scores: Reals, k: int, temperature: float) -> Reals:
    r"""Return $\log m$ of the relaxed choice, 0 in rows with no more than k finite scores, (..., m, n)."""
    possible = ~(scores == -np.inf)
    count = possible.sum(axis=-1, keepdims=True)  # (..., m, 1)
    crowded = count > k
    a = np.log(k / np.where(crowded, count - k, 1)).astype(scores.dtype)
    low = np.where(possible, scores, np.inf).min(axis=-1, keepdims=True, initial=np.inf) - temperature * a
    high = scores.max(axis=-1, keepdims=True, initial=-np.inf) - temperature * a
    for _ in range(HALVINGS):
        middle = low + (high - low) / 2
        more = expit((scores - middle) / temperature).sum(axis=-1, keepdims=True) > k
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    log_membership = log_expit((scores - low) / temperature)
    return np.where(crowded, log_membership, 0).astype(scores.dtype)
