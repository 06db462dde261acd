r"""Iterative attention: a query that climbs the probability of what it has found.

One step of attention asks to which key a query is joined and takes the mean of the values. But the query may itself be
uncertain. Let it be the position of an unseen point x that belongs to one of the keys, and the answer to "which key"
moves x, which changes the answer. Singh and Buckley sum the edge out instead of fixing it, and climb what is left.

From the joint $p(x, \phi = j) \propto \pi_j\, e^{-\frac\beta2 |x|^2 + \beta \langle x, k_j \rangle}$, a Gaussian
around each key but for the factor $e^{-\frac\beta2 |k_j|^2}$, the sum over j leaves

$$E(x) = -\tfrac1\beta \log \sum_j p(x, j) = \tfrac12 |x|^2 - \tfrac1\beta \log \sum_j \pi_j\,
  e^{\beta \langle x, k_j \rangle}, \qquad \nabla E(x) = x - \sum_j w_j(x)\, k_j,$$

with the posterior of the edge at x, $w(x) = \mathrm{softmax}(\beta\, x K^\top + \log \pi)$: going down E takes
nothing but attention,

$$x \leftarrow x - \eta\, \Big(x - \sum_j w_j(x)\, k_j\Big).$$

With $\eta = 1$ (`step_size`) x becomes the attended key, and this is the EM algorithm: weights, then their mean. The
log-sum-exp is convex, so $\nabla^2 E \preceq I$ and any $\eta$ up to 1 goes down: E falls by at least
$\eta\,(1 - \eta/2)\,|\nabla E|^2$.

In the letters of the arguments $\beta$ is `scale`, $\pi$ is `prior`, $k_j$ the rows of `key`, and x starts at a row of
`query`. Without `value` the point itself comes back; with it, what the point reads after its last step.

This is `hopfield_attention` with a prior and a damped step. That one counts the reading as a step, here only the moves
count; and E is `hopfield_energy` up to a constant.
"""

import numpy as np

from ..contract import AscentEnergy, AscentWeightsEnergy, AttentionResult, formula, reference
from ..dotproduct.attention_energy import attention_energy
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def iterative_attention(
    query: Reals,
    key: Reals,
    value: Reals | None = None,
    *,
    steps: int = 1,
    scale: float | None = None,
    step_size: float = 1.0,
    prior: Reals | None = None,
    mask: Booleans | None = None,
    causal: bool = False,
    return_weights: bool = False,
    return_energy: bool = False,
) -> Reals | AttentionResult | AscentEnergy | AscentWeightsEnergy:
    r"""Move each query down the collapsed energy of its latent edge, then read.

    $$x_0 = q_i, \qquad w(x) = \mathrm{softmax}_j(\beta \langle x, k_j \rangle + \log \pi_{ij}), \qquad
      x_{s+1} = x_s - \eta\, \Big(x_s - \sum_{j \in V(i)} w_j(x_s)\, k_j\Big), \qquad
      \mathrm{out}_i = \sum_{j \in V(i)} w_j(x_{\mathrm{steps}})\, v_j$$

    Parameters
    ----------
    query : (..., m, d) real array
        Where each point starts.
    key : (..., n, d) real array
        The keys, among which it moves.
    value : (..., n, e) real array, optional
        What is read after the last step; the point itself is returned if not given.
    steps : int, default 1
        Number of moves, at least 0.
    scale : float, optional
        $\beta$, above 0; $1/\sqrt d$ if not given.
    step_size : float, default 1
        $\eta$, above 0 and at most 1.
    prior : (..., m, n) real array, optional
        $\pi_{ij} \ge 0$, in any unit; 1 if not given. Anything that broadcasts will do.
    mask : (..., m, n) boolean array, optional
        True = may attend, in every step.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.
    return_weights : bool, default False
        Return the weights of the reading too; without `value` those of the last move, or at the query if there is none.
    return_energy : bool, default False
        Return the energy before the first move and after each.

    Returns
    -------
    output : (..., m, e) array
        (..., m, d) without `value`. Zeros for a query without a possible edge.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where no edge is possible.
    energy : (..., m, steps + 1) array
        With `return_energy` only: never increases along the last axis; $+\infty$ where no edge is possible.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, `prior` is negative where it is visible, or a number is out of range.
    TypeError
        If an array is complex, an object or text, `mask` is not boolean, or `steps` is not whole.

    Notes
    -----
    Cost: steps m n d multiplications for the moves and m n (d + e) for the reading; an engine streams each step.

    Neighbors: `steps=0` is `structural_prior_attention`, and without a prior `softmax_attention`; so is one step
    without a value. With $\eta = 1$ and no prior it is `hopfield_attention` with one step more, or as many without
    `value`.

    References
    ----------
    Singh & Buckley, "Attention: Marginal Probability is All You Need?", 2023, arXiv 2304.04556.
    Singh & Buckley, "Attention as Implicit Structural Inference", 2023. The damped step with a prior is ours.

    Examples
    --------
    A point between two keys, a little nearer to the first. The energy falls as it makes up its mind:

    >>> import numpy as np
    >>> key = np.array([[2.0, 0.0], [0.0, 2.0]])
    >>> point, energy = iterative_attention(np.array([[0.6, 0.5]]), key, steps=6, scale=2.0, return_energy=True)
    >>> point.round(2), energy.round(2)
    (array([[2., 0.]]), array([[-1.15, -1.45, -1.89, -2.  , -2.  , -2.  , -2.  ]]))

    A prior of 9 to 1 against the first key sends it the other way:

    >>> iterative_attention(np.array([[0.6, 0.5]]), key, steps=6, scale=2.0, prior=np.array([1, 9])).round(2)
    array([[0., 2.]])
    """
    visible = visible_pairs(query, key, mask, causal)
    log_prior = None if prior is None else np.log(prior)
    beta = 1 / float(np.sqrt(query.shape[-1])) if scale is None else scale

    def weights_at(x: Reals) -> Reals:
        return softmax_weights(dot_scores(x, key, beta, log_prior), visible)  # (..., m, n)

    weights = weights_at(query)
    possible = weights.any(axis=-1, keepdims=True)  # (..., m, 1): a NaN counts as well
    x = np.where(possible, query, 0)
    path = [x]
    for _ in range(steps):
        weights = weights_at(x)
        x = np.where(possible, x - step_size * (x - weighted_sum(weights, key, visible)), 0)  # (..., m, d)
        path.append(x)
    output = x
    if value is not None:
        weights = weights_at(x)
        output = weighted_sum(weights, value, visible)  # (..., m, e)

    if not return_energy:
        return AttentionResult(output, weights) if return_weights else output

    def energy_at(x: Reals) -> Reals:
        of_edges = formula(attention_energy)(x, key, scale=beta, mask=mask, bias=log_prior, causal=causal)
        return (x**2).sum(axis=-1) / 2 + of_edges / beta  # (..., m)

    energy = np.stack([energy_at(x) for x in path], axis=-1)
    return AscentWeightsEnergy(output, weights, energy) if return_weights else AscentEnergy(output, energy)
