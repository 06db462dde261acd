r"""Dynamic convolution attention: move on by a learned number of keys, whatever the keys hold.

For synthesis of long texts contents mislead: the same word occurs twice, and attention jumps. Battenberg et al. leave
the contents out. Weights are computed from the last weights alone, by three filters that are moved along them:

- a *static* one, $f_i = F * \alpha_{i-1}$, which is the same at every step (`conv`);
- a *dynamic* one, $g_i = G(q_i) * \alpha_{i-1}$, whose kernel is computed from the query, so that the state decides
  how fast to go;
- a *prior* one, $p_i$, which looks backward only: $p_{ij} = \sum_{k=0}^{L-1} P_k\, \alpha_{i-1,\,j-k}$ with a
  beta-binomial P. It holds attention near where it was, and never lets it go back.

$$e_{ij} = v \cdot \tanh(f_{ij} U + g_{ij} T + b) + \log p_{ij}, \qquad \alpha_i = \mathrm{softmax}(e_i),$$

with U = `w_static`, T = `w_feature`, b = `b_feature`. Since the prior is added as a logarithm, it multiplies: where
v = 0 the weights are the prior-filtered last weights themselves.

**The floor.** $\log 0$ would forbid all but L keys for ever, and gradients with them, so that p is held at
`prior_floor` from below. A key out of reach keeps this much of a chance.

**Where it starts.** All weight is on the first key before the first step (`initial="first"`). To stream, hand the last
row of weights back as `previous`.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..feedback import convolved, first_row, shifted, stacked, starting_weights
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum
from .beta_binomial_prior import beta_binomial_prior


@reference
def dynamic_convolution_attention(
    query: Reals,
    value: Reals,
    *,
    w_query: Reals,
    b_query: Reals,
    w_dynamic: Reals,
    conv: Reals,
    w_static: Reals,
    w_feature: Reals,
    b_feature: Reals,
    v: Reals,
    prior: Reals | None = None,
    prior_length: int = 11,
    prior_alpha: float = 0.1,
    prior_beta: float = 0.9,
    prior_floor: float = 1e-6,
    initial: str | Reals = "first",
    previous: Reals | None = None,
    mask: Booleans | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Attention that is computed from its own last weights by static, dynamic and prior filters (DCA).

    $$\mathrm{out}_i = \sum_j \alpha_{ij} v_j, \qquad \alpha_i = \mathrm{softmax}\bigl(v \cdot \tanh(f_i U + g_i T + b)
      + \log \max(p_i, \mathrm{floor})\bigr)$$

    Parameters
    ----------
    query : (..., m, p) real array
        One row per step.
    value : (..., n, e) real array
        One row per key.
    w_query, b_query : (p, a), (a,) real arrays
        The hidden layer that makes the dynamic filters.
    w_dynamic : (a, c_d k_d) real array
        From the hidden layer to the dynamic kernels: c_d features of the odd width k_d, the taps of a feature together.
    conv : (c_s, 1, k_s) real array
        The static kernel F: c_s features of the odd width k_s.
    w_static : (c_s, a) real array
        U.
    w_feature : (c_d, a) real array
        T.
    b_feature : (a,) real array
        b.
    v : (a,) real array
        Projects to a score.
    prior : (L,) real array, optional
        $P_k$, the weight of moving k keys on; the beta-binomial one if not given.
    prior_length : int, default 11
        L of the beta-binomial prior, at least 1: it moves by at most L - 1 keys.
    prior_alpha, prior_beta : float, default 0.1 and 0.9
        Above 0. The mean step is (L - 1) alpha / (alpha + beta) keys.
    prior_floor : float, default 1e-6
        Above 0: what the filtered weights count at least.
    initial : {"first", "uniform"} or (..., n) real array
        The weights before the first step.
    previous : (..., n) real array, optional
        Takes the place of `initial` when a stream goes on: the weights of the step before.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a step that sees no key.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is visible.

    Raises
    ------
    ValueError
        If shapes disagree, a width is even, c_d does not divide the columns of `w_dynamic`, or a number is out of
        range.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: m n (c_s k_s + c_d k_d + (c_s + c_d) a + L + e) multiplications; m steps one after another, each parallel over
    the keys. The gradient goes backward through the steps.

    Neighbors: `location_sensitive_attention` scores contents too, `gmm_attention` moves a mixture instead of filtering,
    `beta_binomial_prior` is the prior.

    References
    ----------
    Battenberg et al., "Location-Relative Attention Mechanisms for Robust Long-Form Speech Synthesis", 2020,
    arXiv 1910.10288, eq. (8) to (12).

    Examples
    --------
    A prior that is sure to move one key, and filters that say nothing:

    >>> import numpy as np
    >>> silent = {
    ...     "w_query": np.zeros((1, 1)),
    ...     "b_query": np.zeros(1),
    ...     "w_dynamic": np.zeros((1, 1)),
    ...     "conv": np.zeros((1, 1, 1)),
    ...     "w_static": np.zeros((1, 1)),
    ...     "w_feature": np.zeros((1, 1)),
    ...     "b_feature": np.zeros(1),
    ...     "v": np.zeros(1),
    ... }
    >>> words = np.array([[10.0], [20.0], [30.0], [40.0]])
    >>> dynamic_convolution_attention(np.zeros((3, 1)), words, prior=np.array([0.0, 1.0]), **silent).round(2)
    array([[20.],
           [30.],
           [40.]])
    """
    visible = visible_pairs(query, value, mask, causal=False)  # (..., m, n)
    channels = w_feature.shape[0]
    kernels = np.tanh(query @ w_query + b_query) @ w_dynamic  # (..., m, c_d k_d)
    kernels = kernels.reshape(*kernels.shape[:-1], channels, 1, kernels.shape[-1] // channels)
    if prior is None:
        prior = beta_binomial_prior(prior_length, alpha=prior_alpha, beta=prior_beta).astype(query.dtype)
    previous = starting_weights(initial, first_row(visible), query) if previous is None else previous  # (..., n)
    leading = np.broadcast_shapes(query.shape[:-2], visible.shape[:-2], previous.shape[:-1])

    rows = []
    for i in range(query.shape[-2]):
        seen = np.broadcast_to(visible[..., i, :], (*leading, value.shape[-2]))
        past = np.where(seen, previous, 0)  # (..., n)
        static = convolved(past[..., None, :], conv)  # (..., n, c_s)
        dynamic = convolved(past[..., None, :], kernels[..., i, :, :, :])  # (..., n, c_d)
        moved = sum(prior[k] * shifted(past, k) for k in range(len(prior)))  # (..., n)
        scores = np.tanh(static @ w_static + dynamic @ w_feature + b_feature) @ v
        previous = softmax_weights(scores + np.log(np.maximum(moved, prior_floor)), seen)
        rows.append(previous)

    weights = stacked(rows, leading, query, value.shape[-2])
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
