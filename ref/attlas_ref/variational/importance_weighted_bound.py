r"""A few samples instead of a sum over all alignments.

The bound of `latent_alignment_bounds` is an expectation under q, and one sample z of q estimates it by the log of the
*importance weight* $w = p(z)\, e^{L_z} / q(z)$. Averaging K such weights **before** taking the logarithm gives more:
the mean weight is an unbiased estimate of the likelihood, and the more samples it averages the less its logarithm loses
to Jensen's inequality,

$$\mathrm{ELBO} = \mathbb E[\ell_1] \;\le\; \mathbb E \Bigl[\log \tfrac1K \sum_{k} e^{\ell_k}\Bigr] \;\le\;
  \mathbb E \Bigl[\log \tfrac1{K+1} \sum_{k} e^{\ell_k}\Bigr] \;\le\; \log p(y \mid x), \qquad
  \ell_k = \log p(z_k) + L_{z_k} - \log q(z_k).$$

The inequalities hold for the expectations over the samples, each drawn from q on its own; a single lucky draw may lie
above the likelihood. Only if q is the true posterior are all weights equal, and then every draw gives the exact value.

The normalized weights $\mathrm{softmax}_k(\ell)$ say how much each sample counts in the gradient; reweighted wake-sleep
and VIMCO train q with them.
"""

import numpy as np

from ..contract import SampledBound, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..log_space import log_sum_exp
from ..visibility import Reals


@reference
def importance_weighted_bound(
    log_prior: Reals,
    log_likelihood: Reals,
    log_posterior: Reals,
    *,
    samples: Reals,
    return_weights: bool = False,
) -> Reals | SampledBound:
    r"""Estimate the log likelihood of a latent alignment from K samples of q.

    $$\log \frac1K \sum_{k=1}^K e^{\ell_k}, \qquad \ell_k = \log p(z_k) + L_{z_k} - \log q(z_k)$$

    Parameters
    ----------
    log_prior : (..., n) real array
        $\log p(z)$; $-\infty$ where a place is impossible.
    log_likelihood : (..., n) real array
        $L_z$ in nats.
    log_posterior : (..., n) real array
        $\log q(z)$, of which the samples were drawn.
    samples : (..., K) integer array
        $z_k$, numbers below n; K at least 1.
    return_weights : bool, default False
        Return the normalized importance weights too.

    Returns
    -------
    bound : (...) array
        In nats.
    weights : (..., K) array
        With `return_weights` only: $\mathrm{softmax}_k(\ell)$.

    Raises
    ------
    ValueError
        If shapes disagree, a sample is out of range, or a sample has q = 0, which q never draws.
    TypeError
        If an array is complex, an object or text, or `samples` are not whole numbers.

    Notes
    -----
    Cost: O(K), and K runs of the decoder instead of n.

    Gradients: $\partial / \partial \ell_k$ is the weight of sample k, added to the entry $z_k$ of `log_prior` and
    `log_likelihood` and taken from that of `log_posterior`.

    With K = 1 the expectation over q is the `elbo` of `latent_alignment_bounds`.

    References
    ----------
    Burda, Grosse & Salakhutdinov, "Importance Weighted Autoencoders", 2015, arXiv 1509.00519.
    Deng, Kim, Chiu, Guo & Rush, "Latent Alignment and Variational Attention", 2018, arXiv 1807.03756.

    Examples
    --------
    The expected bound climbs with K towards the likelihood, here by going through all pairs and triples:

    >>> import numpy as np
    >>> from itertools import product
    >>> log_prior, log_likelihood = np.log([0.5, 0.3, 0.2]), np.log([0.1, 0.6, 0.3])
    >>> log_q = np.log([0.4, 0.4, 0.2])
    >>> for size in (1, 2, 3):
    ...     draws = np.array(list(product(range(3), repeat=size)))
    ...     chance = np.exp(log_q[draws].sum(axis=-1))
    ...     bound = importance_weighted_bound(log_prior, log_likelihood, log_q, samples=draws)
    ...     print(f"K = {size}: {float(chance @ bound):.4f}")
    K = 1: -1.3920
    K = 2: -1.3123
    K = 3: -1.2854
    >>> print(f"likelihood: {float(np.log(np.exp(log_prior + log_likelihood).sum())):.4f}")
    likelihood: -1.2379
    """
    samples = np.asarray(samples)

    def drawn(logs: Reals) -> Reals:
        """The entries at the samples, (..., K)."""
        leading = np.broadcast_shapes(logs.shape[:-1], samples.shape[:-1])
        places = np.broadcast_to(samples, (*leading, samples.shape[-1]))
        return np.take_along_axis(np.broadcast_to(logs, (*leading, logs.shape[-1])), places, axis=-1)

    log_weights = drawn(log_prior) + drawn(log_likelihood) - drawn(log_posterior)  # (..., K)
    bound = log_sum_exp(log_weights) - float(np.log(samples.shape[-1]))
    if not return_weights:
        return bound
    return SampledBound(bound, softmax_weights(log_weights, np.ones(samples.shape[-1:], dtype=bool)))
