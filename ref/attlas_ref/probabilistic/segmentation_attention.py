r"""Segmentation attention: each query selects stretches of the keys.

A softmax makes the keys compete for one unit of weight. Here every key is in or out by itself, $z_j \in \{0, 1\}$, and
a query may take many. What ties the keys together is that neighbors talk: with `transition` in favor of equal labels,
the selection comes in segments, a phrase rather than a word. For each query the labels form a chain
(`linear_chain_marginals`) with

$$u_j = (0, s_{ij}) + \mathrm{state\_bias}, \qquad P(a, b) = \mathrm{transition}_{ab}, \qquad
  w_{ij} = p(z_j = 1 \mid q_i),$$

where $s$ are the scores of softmax attention. The output is the expected sum over the selected keys.

**Weights do not sum to 1.** Each lies between 0 and 1, and their sum is the expected number of selected keys;
`normalize=True` divides by it. Without any transitions, $w_{ij} = \sigma(s_{ij})$: `sigmoid_attention`.

**Masks are prefixes.** A chain has no holes: each query sees the keys up to some position, as with `causal=True`, and
its chain ends there. A key whose score is $-\infty$ is a link of the chain all the same, one that is never selected.
"""

import numpy as np

from ..contract import AttentionResult, formula, reference
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum
from .linear_chain_marginals import linear_chain_marginals


@reference
def segmentation_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    transition: Reals,
    state_bias: Reals | None = None,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    normalize: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention to the keys that a binary chain selects.

    $$\mathrm{out}_i = \sum_j p(z_j = 1 \mid q_i)\, v_j, \qquad
      p(z \mid q_i) \propto \exp\Bigl(\sum_j z_j s_{ij} + \sum_j \mathrm{state\_bias}_{z_j}
      + \sum_j \mathrm{transition}_{z_j z_{j+1}}\Bigr)$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    transition : (..., 2, 2) real array
        Score of two neighbors' labels, 0 = out, 1 = in; a large diagonal makes long segments.
    state_bias : (2,) real array, optional
        Added to the scores of the two labels.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend; each row a prefix: True, then False.
    bias : (..., m, n) real array, optional
        Added to the scaled scores.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.
    normalize : bool, default False
        Divide the weights of each query by their sum.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query that sees no key.
    weights : (..., m, n) array
        With `return_weights` only: the probability that each key is selected.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, or a row of `mask` is no prefix.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: m n (d + e) multiplications and about 8 m n exponentials in n steps; the m chains are independent.

    With `transition=0` it is `sigmoid_attention`. `linear_chain_marginals` with c labels has no softmax attention among
    its special cases either: that has one label for all positions together.

    References
    ----------
    Kim, Denton, Hoang & Rush, "Structured Attention Networks", 2017, arXiv 1702.00887, section 3.1.
    Chen et al., "Dialogue Act Recognition via CRF-Attentive Structured Network", 2017, arXiv 1711.05568.

    Examples
    --------
    One key stands out. The more its neighbors cling together, the more of them come along, and the less it stands
    alone:

    >>> import numpy as np
    >>> key = np.array([[-1.0], [-1.0], [4.0], [-1.0], [-1.0]])
    >>> for together in (0.0, 1.0, 2.0):
    ...     transition = together * np.eye(2)
    ...     print(segmentation_attention(np.ones((1, 1)), key, np.eye(5), transition=transition).round(2))
    [[0.27 0.27 0.98 0.27 0.27]]
    [[0.26 0.38 0.94 0.38 0.26]]
    [[0.37 0.48 0.83 0.48 0.37]]
    """
    visible = visible_pairs(query, key, mask, causal)
    scores = dot_scores(query, key, scale, bias)  # (..., m, n)
    unary = np.stack([np.zeros_like(scores), scores], axis=-1)  # (..., m, n, 2)
    if state_bias is not None:
        unary = unary + state_bias

    steps = max(key.shape[-2] - 1, 0)
    pairwise = np.broadcast_to(transition[..., None, None, :, :], (*transition.shape[:-2], 1, steps, 2, 2))
    weights = formula(linear_chain_marginals)(unary, pairwise, mask=visible).marginals[..., 1]  # (..., m, n)
    if normalize:
        total = weights.sum(axis=-1, keepdims=True)
        weights = weights / np.where(total == 0, 1, total)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
