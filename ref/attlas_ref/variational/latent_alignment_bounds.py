r"""The likelihood of a hidden alignment, and what is known to lie below it.

A translator aligns each word of its output with a word of the input, but no one has written the alignment down. Treat
it as what it is, a hidden variable: z names one of n places, $p(z)$ says how likely each place is before the output is
seen, and $p(y \mid x, z)$ how likely the output word is if that place is the right one. What should be maximized is
the *marginal*, the sum over all places. It takes a run of the decoder per place, and so people maximize something
smaller; this page holds the exact value and the rungs of the ladder below it.

With $L_z = \log p(y \mid x, z)$ (`log_likelihood`), $p$ (`log_prior`) and any distribution $q$ over the places
(`log_posterior`), Jensen's inequality gives

$$\log p(y \mid x) = \log \sum_z p(z)\, e^{L_z} \;\ge\; \mathrm{ELBO} = \sum_z q(z) L_z - \mathrm{KL}(q \,\|\, p),$$

and what is lost is known exactly: it is $\mathrm{KL}(q \,\|\, p(z \mid x, y))$, the divergence of q from the true
posterior $p(z \mid x, y) \propto p(z)\, e^{L_z}$. With the posterior itself as q nothing is lost. With the prior as q
the bound becomes $\sum_z p(z) L_z$ (`prior_bound`), which is what *hard attention* maximizes in expectation. A K-sample
bound lies between (`importance_weighted_bound`).

*Soft* attention stands outside of the ladder: it feeds the decoder the mean of the places, and $\log p(y \mid
\mathbb E_z[v_z])$ may lie above or below all of these (`soft_alignment_log_likelihood`).

**What to watch for.** All is kept in log space: $L_z$ of a whole sentence may be $-10^4$. A place with $p(z) = 0$ is
legal; if q goes there the bound is $-\infty$. What q leaves out takes no part, $0 \log 0 = 0$ and $0 \cdot \infty = 0$.
"""

import numpy as np

from ..contract import LatentBounds, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..log_space import log_sum_exp
from ..visibility import Booleans, Reals


@reference
def latent_alignment_bounds(
    log_prior: Reals, log_likelihood: Reals, log_posterior: Reals | None = None, *, mask: Booleans | None = None
) -> LatentBounds:
    r"""Return the log likelihood of a latent alignment, and the bounds below it.

    $$\log \sum_z p(z) e^{L_z} \;\ge\; \sum_z q(z) L_z - \sum_z q(z) \log \frac{q(z)}{p(z)}, \qquad
      p(z \mid x, y) = \frac{p(z) e^{L_z}}{\sum_{z'} p(z') e^{L_{z'}}}$$

    Parameters
    ----------
    log_prior : (..., n) real array
        $\log p(z)$, normalized over the visible places; $-\infty$ where a place is impossible.
    log_likelihood : (..., n) real array
        $L_z$ in nats: what the decoder gives the output if z is the place.
    log_posterior : (..., n) real array, optional
        $\log q(z)$, normalized likewise; the prior if not given.
    mask : (..., n) boolean array, optional
        False = no alignment to this place: p = q = 0.

    Returns
    -------
    log_marginal : (...) array
        In nats, as all bounds.
    prior_bound : (...) array
        $\sum_z p(z) L_z$.
    reconstruction : (...) array
        $\sum_z q(z) L_z$.
    kl : (...) array
        $\mathrm{KL}(q \,\|\, p)$; infinite if q goes where p is 0.
    elbo : (...) array
        `reconstruction` - `kl`.
    posterior : (..., n) array
        $p(z \mid x, y)$; sums to 1. Where the mask hides every place it is zeros, all bounds are $-\infty$ and `kl` is
        0.

    Raises
    ------
    ValueError
        If shapes disagree, or `log_prior` or `log_posterior` does not sum to 1: $|\log \sum_z| > 10^{-6}$, or 32 units
        in the last place of numbers that a shorter dtype holds.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: O(n) per word of the output. The n likelihoods are the expensive part: n runs of the decoder, where soft
    attention takes one.

    Gradients: $\partial \log\mathrm{marginal} / \partial L$ is the posterior, $\partial\,\mathrm{ELBO} / \partial L$ is
    q, and through the logits of q it is $q_z (r_z - \sum q r)$ with $r = L + \log p - \log q$:
    `alignment_score_gradient` of the rewards r.

    References
    ----------
    Deng, Kim, Chiu, Guo & Rush, "Latent Alignment and Variational Attention", 2018, arXiv 1807.03756, eq. (1)-(6).

    Examples
    --------
    Two places explain the word well, one does not. The prior knows nothing; a q that has learned loses less:

    >>> import numpy as np
    >>> log_prior, log_likelihood = np.log([1 / 3, 1 / 3, 1 / 3]), np.log([0.5, 0.4, 0.01])
    >>> bounds = latent_alignment_bounds(log_prior, log_likelihood, np.log([0.5, 0.48, 0.02]))
    >>> for name in ("log_marginal", "elbo", "prior_bound"):
    ...     print(f"{name:12} {float(getattr(bounds, name)):.3f}")
    log_marginal -1.193
    elbo         -1.200
    prior_bound  -2.072
    >>> bounds.posterior.round(2)
    array([0.55, 0.44, 0.01])
    """
    log_posterior = log_prior if log_posterior is None else log_posterior
    log_prior, log_likelihood, log_posterior = np.broadcast_arrays(log_prior, log_likelihood, log_posterior)
    visible = np.ones(log_prior.shape[-1:], dtype=bool) & (True if mask is None else mask)
    log_joint = log_prior + log_likelihood  # (..., n)
    log_marginal = log_sum_exp(np.where(visible, log_joint, -np.inf))
    posterior = softmax_weights(log_joint, visible)

    p, q = (np.where(visible, np.exp(logs), 0) for logs in (log_prior, log_posterior))
    kl = _expected(q, log_posterior - log_prior)
    # Without a place there is no q; the output is impossible, and each rung says so.
    nothing = np.where(visible.any(axis=-1), 0, -np.inf).astype(log_prior.dtype)
    prior_bound = _expected(p, log_likelihood) + nothing
    reconstruction = _expected(q, log_likelihood) + nothing
    return LatentBounds(log_marginal, prior_bound, reconstruction, kl, reconstruction - kl, posterior)


def _expected(weights: Reals, terms: Reals) -> Reals:
    """Return the sum of weights times terms; a weight of 0 takes its term out, be it infinite or NaN."""
    return np.where(weights == 0, 0, weights * terms).sum(axis=-1)
