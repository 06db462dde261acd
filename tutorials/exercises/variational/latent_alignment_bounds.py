# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: latent_alignment_bounds
#   options: []
#   lines: 11
#   minutes: 25
#   points: 2
#   mistakes:
#     kl_turned_around: >-
#       The divergence is taken from the prior to q. It is an expectation under q: the sum of q (log q - log p).
#     kl_added: >-
#       The divergence is added to the reconstruction. It is the price of leaving the prior: subtract it.
#     posterior_without_the_prior: >-
#       The posterior is the softmax of the likelihood alone. Bayes' rule multiplies it by the prior.
#     nothing_times_infinity: >-
#       0 times infinity is NaN. A place that a distribution leaves out takes no part in its expectation.
# ---

# %% [markdown]
# # The evidence lower bound of an alignment
#
# A translator aligns each word of its output with a word of the input, and nobody has written the alignment down. So
# it is a hidden variable z, one of n places: $p(z)$ says how likely a place is before the output word y is seen, and
# $L_z = \log p(y \mid x, z)$ how likely y is if z is the right place. What should be maximized is the *marginal*
#
# $$\log p(y \mid x) = \log \sum_z p(z)\, e^{L_z} .$$
#
# Any distribution q over the places gives a lower bound. Write the sum as $\sum_z q(z)\, \frac{p(z) e^{L_z}}{q(z)}$ and
# pull the logarithm inside (Jensen):
#
# $$\log p(y \mid x) \;\ge\; \mathrm{ELBO} = \underbrace{\sum_z q(z) L_z}_{\text{reconstruction}}
#   - \underbrace{\sum_z q(z) \bigl(\log q(z) - \log p(z)\bigr)}_{\mathrm{KL}(q \,\|\, p)} .$$
#
# Nothing is lost if q is the true posterior, $p(z \mid x, y) \propto p(z)\, e^{L_z}$: attention, with the log
# likelihoods as scores and the prior as bias. With the prior as q the bound is $\sum_z p(z) L_z$, which is what hard
# attention maximizes.
#
# **Write** `latent_alignment_bounds(log_prior, log_likelihood, log_posterior)`: three arrays `(..., n)`, the first and
# the third logarithms of distributions, with -inf where a place is impossible. `log_posterior` is $\log q$; without it
# q is the prior, which is taken care of, as is a row without a place. Return a tuple of six arrays: `log_marginal`,
# `prior_bound`, `reconstruction`, `kl` and `elbo`, all `(...)`, and `posterior` `(..., n)`. Log likelihoods may be as
# large as 1e4 with either sign. The leading axes have been broadcast for you. In expectations $0 \log 0 = 0$ and
# $0 \cdot \infty = 0$. There is no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: one helper for three expectations</summary>
#
# The prior bound, the reconstruction and the divergence are all sums of a probability times a term. Write it once, with
# `np.where(probability == 0, 0, ...)`.
#
# </details>
#
# <details><summary>Hint 2: marginal and posterior from one array</summary>
#
# `log_joint = log_prior + log_likelihood`: its log-sum-exp is the marginal, its softmax the posterior.
#
# </details>
#
# <details><summary>Hint 3: warnings about infinity</summary>
#
# -inf - (-inf) stands where both distributions leave a place out. Replace the term before you multiply: take the terms
# only where the probability is above 0.
#
# </details>

# %%
import numpy as np


def latent_alignment_bounds(log_prior, log_likelihood, log_posterior=None):
    """Return the log likelihood of a latent alignment, four quantities of its lower bounds, and its posterior."""
    log_posterior = log_prior if log_posterior is None else log_posterior
    log_prior, log_likelihood, log_posterior = np.broadcast_arrays(log_prior, log_likelihood, log_posterior)
    if log_prior.shape[-1] == 0:  # no place, no alignment
        nothing = np.zeros(log_prior.shape[:-1], dtype=log_prior.dtype)
        never = nothing - np.inf
        return never, never, never, nothing, never, log_prior.copy()
    ### BEGIN SOLUTION

    def expected(probability, *terms):
        total = sum(np.where(probability == 0, 0, term) for term in terms)
        return (probability * total).sum(axis=-1)

    p, q = np.exp(log_prior), np.exp(log_posterior)
    log_joint = log_prior + log_likelihood
    largest = log_joint.max(axis=-1, keepdims=True)
    joint = np.exp(log_joint - largest)
    total = joint.sum(axis=-1, keepdims=True)
    log_marginal = (largest + np.log(total))[..., 0]
    reconstruction, kl = expected(q, log_likelihood), expected(q, log_posterior, -log_prior)
    return log_marginal, expected(p, log_likelihood), reconstruction, kl, reconstruction - kl, joint / total
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _expected(probability, *terms):
    return (probability * sum(np.where(probability == 0, 0, term) for term in terms)).sum(axis=-1)


def kl_turned_around(log_prior, log_likelihood, log_posterior=None):
    marginal, bound, reconstruction, kl, _, posterior = latent_alignment_bounds(
        log_prior, log_likelihood, log_posterior
    )
    kl = _expected(np.exp(log_prior), log_prior, -log_posterior) + np.zeros_like(kl)
    return marginal, bound, reconstruction, kl, reconstruction - kl, posterior


def kl_added(log_prior, log_likelihood, log_posterior=None):
    marginal, bound, reconstruction, kl, _, posterior = latent_alignment_bounds(
        log_prior, log_likelihood, log_posterior
    )
    return marginal, bound, reconstruction, kl, reconstruction + kl, posterior


def posterior_without_the_prior(log_prior, log_likelihood, log_posterior=None):
    *bounds, posterior = latent_alignment_bounds(log_prior, log_likelihood, log_posterior)
    likelihood = np.exp(log_likelihood - log_likelihood.max(axis=-1, keepdims=True))
    return *bounds, likelihood / likelihood.sum(axis=-1, keepdims=True) + np.zeros_like(posterior)


def nothing_times_infinity(log_prior, log_likelihood, log_posterior=None):
    marginal, _, _, _, _, posterior = latent_alignment_bounds(log_prior, log_likelihood, log_posterior)
    p, q = np.exp(log_prior), np.exp(log_posterior)
    with np.errstate(invalid="ignore"):
        bound, reconstruction = (p * log_likelihood).sum(axis=-1), (q * log_likelihood).sum(axis=-1)
        kl = (q * (log_posterior - log_prior)).sum(axis=-1)
    shape = marginal.shape
    bound, reconstruction, kl = (np.broadcast_to(x, shape) for x in (bound, reconstruction, kl))
    return marginal, bound, reconstruction, kl, reconstruction - kl, posterior


### END HIDDEN TESTS
