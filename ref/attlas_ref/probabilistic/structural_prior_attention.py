r"""Attention as an expectation over a latent edge.

Each query is joined to exactly one key, and nobody has seen to which. Before the arrows are known there is a belief
about them: the word before, some word nearby, a neighbor in a graph. The scores then speak for and against each key,
and Bayes' rule puts the two together. Attention is the mean of the values under what one believes afterwards.

For query i the unknown is $\phi_i \in \{1, \dots, n\}$, the other end of its edge. The paper draws this as a Markov
random field: the prior $\pi_{ij} = p(\phi_i = j)$ (`prior`, or its logarithm `log_prior`) says which edges are likely
at all, and the potential $\psi_{ij} = e^{s_{ij}}$ how well the two ends fit. The posterior is

$$w_{ij} = p(\phi_i = j \mid q_i, k) = \frac{\pi_{ij}\, e^{s_{ij}}}{\sum_{j'} \pi_{ij'}\, e^{s_{ij'}}}
  = \mathrm{softmax}_j(s_{ij} + \log \pi_{ij}), \qquad \mathrm{out}_i = \mathbb E_{\phi_i \sim w_i}[v_{\phi_i}] .$$

So a prior is a bias of the scores, and the usual masks and positional biases are priors: `causal_prior`,
`neighborhood_prior` (edges of a graph), `geometric_prior` (recency, the slopes of ALiBi), `gaussian_prior` (a window
with soft edges). The softmax itself is the uniform one.

The posterior is also what variational inference would find: among all distributions r it has the smallest free energy
$F(r) = \sum_j r_j (\log r_j - \log \pi_j - s_j)$, and $F(w) = -\log \sum_j \pi_j e^{s_j}$.

A prior need not sum to 1, since a constant per query cancels. Where it is 0 the edge is impossible: its weight is
exactly 0, and a query without a possible edge reads zeros.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def structural_prior_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    prior: Reals | None = None,
    log_prior: Reals | None = None,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Mean of the values under the posterior of a latent edge.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j, \qquad
      w_{ij} = \frac{\pi_{ij}\, e^{s_{ij}}}{\sum_{j' \in V(i)} \pi_{ij'}\, e^{s_{ij'}}}, \qquad
      s_{ij} = \mathrm{scale}\,\langle q_i, k_j\rangle + \mathrm{bias}_{ij}$$

    Parameters
    ----------
    query : (..., m, d) real array
        One row per query.
    key : (..., n, d) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    prior : (..., m, n) real array, optional
        $\pi_{ij} \ge 0$, in any unit; all edges are alike if not given. Anything that broadcasts will do: (n,) is a
        prior over the keys alone.
    log_prior : (..., m, n) real array, optional
        $\log \pi_{ij}$ in place of `prior`; $-\infty$ is an impossible edge.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    bias : (..., m, n) real array, optional
        Added to the scaled scores.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.
    return_weights : bool, default False
        Return the posterior too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a query without a possible edge.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where no edge is possible.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, `prior` is negative where it is visible, or both priors are given.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: m n (d + e) multiplications and m n exponentials; an engine streams over the keys, and needs no more than
    `softmax_attention` with a bias.

    Neighbors: without a prior this is `softmax_attention`, with `causal_prior` the causal one. Posteriors chain: with
    the weights of one call as the prior of the next, two sets of keys are used one after the other as if their scores
    had been added. `iterative_attention` lets the query move, too.

    References
    ----------
    Singh & Buckley, "Attention: Marginal Probability is All You Need?", 2023, arXiv 2304.04556.
    Singh & Buckley, "Attention as Implicit Structural Inference", 2023.

    Examples
    --------
    The key speaks for the first value, 4 to 1, the prior against it, 1 to 8:

    >>> import numpy as np
    >>> query, key = np.array([[np.log(4)]]), np.array([[1.0], [0.0]])
    >>> structural_prior_attention(query, key, np.eye(2), prior=np.array([1, 8]), scale=1.0).round(3)
    array([[0.333, 0.667]])

    What is impossible stays so, however well it fits:

    >>> structural_prior_attention(1000 * query, key, np.eye(2), prior=np.array([0, 1]))
    array([[0., 1.]])
    """
    visible = visible_pairs(query, key, mask, causal)
    scores = dot_scores(query, key, scale, bias)  # (..., m, n)
    if prior is not None:
        log_prior = np.log(prior)
    if log_prior is not None:
        scores = scores + log_prior
    weights = softmax_weights(scores, visible)
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
